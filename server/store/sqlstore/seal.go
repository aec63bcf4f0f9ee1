package sqlstore

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	sealPrefix = "sealed:1:"     // of a text that is sealed; base64 follows
	sealCheck  = "sqlstore.seal" // the value by which a key is known to fit
	sealKnown  = "capstan"
)

// Sealer hides texts of the database from who has only a copy of it. Context says what is sealed.
// Unseal fails as Denied where the key does not fit.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Unseal(sealed []byte, context string) ([]byte, error)
}

// Option changes how a store is opened.
type Option func(*Store)

// Sealed has URLs, pipelines and other options of streams, options of capsules and the secrets of destinations kept sealed. What a store without it
// has kept in plain text is sealed when it is opened.
func Sealed(s Sealer) Option { return func(st *Store) { st.sealer = s } }

// hiding is a row with texts that are kept sealed.
type hiding interface {
	// hidden gives the texts, and what they are.
	hidden() (context string, texts []*string)
}

func (r *streamRow) hidden() (string, []*string) {
	return "stream", []*string{&r.URL, &r.Pipeline, &r.Said}
}

func (r *destinationRow) hidden() (string, []*string) {
	return "destination", []*string{&r.Secret, &r.Settings}
}

// Options of capsules may be secret; which are, the capsule says, not the store.
func (r *settingRow) hidden() (string, []*string) { return "setting", []*string{&r.Options} }

// hide seals the texts of a row that is written. The row is not read after that.
func (s *Store) hide(row any) error {
	h, ok := row.(hiding)
	if !ok || s.sealer == nil {
		return nil
	}
	about, texts := h.hidden()
	for _, text := range texts {
		if *text == "" {
			continue
		}
		sealed, err := s.sealer.Seal([]byte(*text), about)
		if err != nil {
			return err
		}
		*text = sealPrefix + base64.RawStdEncoding.EncodeToString(sealed)
	}
	return nil
}

// show gives the texts of a row that was read as they were. A text that is not sealed is from
// before.
func (s *Store) show(row any) error {
	h, ok := row.(hiding)
	if !ok || s.sealer == nil {
		return nil
	}
	about, texts := h.hidden()
	for _, text := range texts {
		code, sealed := strings.CutPrefix(*text, sealPrefix)
		if !sealed {
			continue
		}
		data, err := base64.RawStdEncoding.DecodeString(code)
		if err != nil {
			return core.Faultf(core.Internal, "store", about, "what is sealed is damaged: %w", err)
		}
		plain, err := s.sealer.Unseal(data, about)
		if err != nil {
			return err
		}
		*text = string(plain)
	}
	return nil
}

// adopt refuses a key that does not fit the database, and seals what is not sealed yet.
func (s *Store) adopt(ctx context.Context) error {
	if s.sealer == nil {
		return nil
	}
	return s.Update(ctx, func(b store.Tx) error {
		t := b.(*tx)
		check, err := t.Value(sealCheck)
		switch {
		case err != nil:
			return err
		case check == nil:
			if check, err = s.sealer.Seal([]byte(sealKnown), sealCheck); err == nil {
				err = t.SaveValue(sealCheck, check)
			}
		default:
			_, err = s.sealer.Unseal(check, sealCheck)
		}
		if err != nil {
			return err
		}
		if err := sealOld[streamRow](t, "url", "pipeline", "said"); err != nil {
			return err
		}
		if err := sealOld[settingRow](t, "options"); err != nil {
			return err
		}
		return sealOld[destinationRow](t, "secret", "settings")
	})
}

// sealOld seals the columns of rows that hold plain text.
func sealOld[R any, P interface {
	*R
	hiding
}](t *tx, columns ...string) error {
	var rows []R
	if err := t.failed(t.db.NewSelect().Model(&rows).Scan(t.ctx)); err != nil {
		return err
	}
	for i := range rows {
		_, texts := P(&rows[i]).hidden()
		old := false
		for _, text := range texts {
			old = old || *text != "" && !strings.HasPrefix(*text, sealPrefix)
		}
		if !old {
			continue
		}
		if err := t.store.show(P(&rows[i])); err != nil {
			return err
		}
		if err := t.store.hide(P(&rows[i])); err != nil {
			return err
		}
		if _, err := t.db.NewUpdate().Model(&rows[i]).Column(columns...).WherePK().Exec(t.ctx); err != nil {
			return t.failed(err)
		}
	}
	return nil
}
