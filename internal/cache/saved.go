package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Files of a saved warm tier.
const (
	warmDir    = "warm"   // the entries, in fastcache's format
	dictFile   = "dict"   // the dictionary of the entries
	stampsFile = "stamps" // the place in the feed, and the stamps
)

// sinkTime is how long a shutdown may spend on writing the hot tier to the warm one: about 50,000 documents.
const sinkTime = 2 * time.Second

// stampsMagic begins the stamps file; its number changes with the format.
const stampsMagic = 0x74656e6574000003

// Layout of the stamps file: magic, form of the documents, seq, chain, bytes written to the tier, clock, floor,
// stripes, checksum.
const (
	stampsHead = 8 + 32 + 8 + 32 + 8 + 8 + 8
	stampsSize = stampsHead + 8*stripeCount + 4
)

// save writes the warm tier and its stamps, as of a place in the feed. The stamps come last: without them the next
// start ignores the entries.
func (m *memory) save(at store.Place) error {
	if m.o.Dir == "" || !at.Known || at.Seq == 0 {
		return nil
	}
	if err := discard(m.o.Dir); err != nil {
		return err
	}
	m.sinkAll(time.Now().Add(sinkTime))
	err := m.warm.cache.SaveToFileConcurrent(filepath.Join(m.o.Dir, warmDir), 0)
	if err == nil {
		err = m.warm.codec.save(m.o.Dir)
	}
	if err == nil {
		err = m.saveStamps(at)
	}
	if err != nil {
		return fmt.Errorf("save the warm tier: %w", err)
	}
	return nil
}

func (m *memory) saveStamps(at store.Place) error {
	form := documentForm()
	b := make([]byte, 0, stampsSize)
	b = binary.LittleEndian.AppendUint64(b, stampsMagic)
	b = append(b, form[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.Seq))
	b = append(b, at.Chain[:]...)
	b = binary.LittleEndian.AppendUint64(b, m.warm.written.Load())
	b = binary.LittleEndian.AppendUint64(b, m.stamps.now())
	b = binary.LittleEndian.AppendUint64(b, m.stamps.floor.Load())
	for i := range m.stamps.stripes {
		b = binary.LittleEndian.AppendUint64(b, m.stamps.stripes[i].Load())
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	path := filepath.Join(m.o.Dir, stampsFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// restore reads the stamps of the saved entries. It returns the place in the feed at which they were saved, the bytes
// written to the tier, and whether there are any; without stamps the warm tier starts empty. A saved tier serves one
// start only, and only after the stamps file is certainly removed: a killed process has not saved which entries its own
// writes made outdated.
func (m *memory) restore() (at store.Place, written uint64, ok bool) {
	path := filepath.Join(m.o.Dir, stampsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return at, 0, false
	}
	if err := remove(m.o.Dir, path); err != nil {
		m.o.Log.Warn("warm cache starts empty: the saved one can't be removed, and must not be used twice",
			"error", err.Error())
		return at, 0, false
	}
	form := documentForm()
	switch {
	case len(b) != stampsSize, binary.LittleEndian.Uint64(b) != stampsMagic,
		binary.LittleEndian.Uint32(b[stampsSize-4:]) != crc32.ChecksumIEEE(b[:stampsSize-4]),
		string(b[8:40]) != string(form[:]):
		m.o.Log.Info("warm cache starts empty: the saved one is damaged or from another release")
		return at, 0, false
	}
	at = store.Place{Seq: knowledge.Seq(binary.LittleEndian.Uint64(b[40:])), Known: true}
	copy(at.Chain[:], b[48:])
	m.stamps.clock.Store(binary.LittleEndian.Uint64(b[88:]) + 1)
	m.stamps.floor.Store(binary.LittleEndian.Uint64(b[96:]))
	for i := range m.stamps.stripes {
		m.stamps.stripes[i].Store(binary.LittleEndian.Uint64(b[stampsHead+8*i:]))
	}
	return at, binary.LittleEndian.Uint64(b[80:]), true
}

// discard creates the directory and removes a saved tier from it, the stamps first.
func discard(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the warm cache's directory: %w", err)
	}
	err := remove(dir, filepath.Join(dir, stampsFile))
	left, _ := filepath.Glob(filepath.Join(dir, "fastcache.tmp.*")) // of an interrupted save
	for _, path := range append(left, filepath.Join(dir, warmDir), filepath.Join(dir, dictFile)) {
		if err == nil {
			err = os.RemoveAll(path)
		}
	}
	if err != nil {
		return fmt.Errorf("remove the saved warm cache: %w", err)
	}
	return nil
}

// remove removes a file durably: a power cut does not bring it back.
func remove(dir, path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// documentForm returns a hash that differs between releases with different JSON documents, or different answers to a
// search.
func documentForm() [32]byte {
	h := sha256.New()
	for _, kind := range knowledge.Kinds() {
		doc := knowledge.New(kind)
		doc.Normalize()
		b, err := knowledge.Canonical(doc)
		if err != nil {
			panic(err) // an empty document holds nothing that can't be encoded
		}
		h.Write(b)
	}
	h.Write([]byte(knowledge.SearchForm()))
	return [32]byte(h.Sum(nil))
}
