package core

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckAPI says whether this build speaks the version of the capsule contract that a capsule
// was made for: the same major, a minor not above ours. A text that is no major.minor is a
// fault of kind Invalid, a version that we do not speak one of kind CapsuleVersion.
func CheckAPI(version string) error {
	major, minor, ok := apiNumbers(version)
	if !ok {
		f := Faultf(Invalid, "api", "", "%q is not a version", version)
		f.Hint = "want major.minor, such as " + strconv.Quote(APIVersion)
		return f
	}
	ourMajor, ourMinor, _ := apiNumbers(APIVersion)
	if compareDigits(major, ourMajor) == 0 && compareDigits(minor, ourMinor) <= 0 {
		return nil
	}
	f := Faultf(CapsuleVersion, "api", "", "version %s is not spoken here", strings.TrimSpace(version))
	f.Hint = fmt.Sprintf("this build speaks %s.0 to %s", ourMajor, APIVersion)
	return f
}

// apiNumbers splits "1.0" into its digits without leading zeros. They stay text, because a
// version may have more digits than an int holds.
func apiNumbers(version string) (major, minor string, ok bool) {
	major, minor, ok = strings.Cut(strings.TrimSpace(version), ".")
	if !ok || !digits(major) || !digits(minor) {
		return "", "", false
	}
	return stripZeros(major), stripZeros(minor), true
}

func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

func stripZeros(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func compareDigits(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
