package conform

import (
	"image"
	_ "image/jpeg" // pictures of the test data
	_ "image/png"
	"os"
	"path/filepath"
)

// DataEnv names the folder with the test data.
const DataEnv = "CAPSTAN_TESTDATA"

// largestPicture is in pixels: larger ones take too long in every format.
const largestPicture = 1 << 20

// DataPictures gives a picture of each folder of pictures in the test data: faces, things, number
// plates, codes. It gives none where there are none; what cannot be read is left out.
func DataPictures(folder string) []image.Image {
	folders, err := filepath.Glob(filepath.Join(folder, "images", "*"))
	if err != nil {
		return nil
	}
	var list []image.Image
	for _, dir := range folders {
		files, err := filepath.Glob(filepath.Join(dir, "*.[jp][pn]g"))
		if err != nil {
			return nil
		}
		for _, path := range files {
			if img := small(path); img != nil {
				list = append(list, img)
				break
			}
		}
	}
	return list
}

// small reads a picture; nil for one that is large, or none.
func small(path string) image.Image {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	c, _, err := image.DecodeConfig(file)
	if err != nil || c.Width*c.Height > largestPicture {
		return nil
	}
	if _, err := file.Seek(0, 0); err != nil {
		return nil
	}
	img, _, err := image.Decode(file)
	if err != nil {
		return nil
	}
	return img
}
