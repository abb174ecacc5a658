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
)

// What a directory of a saved warm tier holds.
const (
	warmDir    = "warm"   // the entries, as fastcache writes them
	dictFile   = "dict"   // what the entries are compressed with
	stampsFile = "stamps" // how far the feed was followed, and when everything was last changed
)

// sinkTime is how long a shutdown may take to write what the hot tier holds to the warm one: about 50,000 documents.
const sinkTime = 2 * time.Second

// stampsMagic begins the file of stamps; its number changes with its form.
const stampsMagic = 0x74656e6574000003

// A saved file of stamps is: magic, form of the documents, seq, chain, bytes written to the tier, clock, floor, the stripes, a
// check sum.
const (
	stampsHead = 8 + 32 + 8 + 32 + 8 + 8 + 8
	stampsSize = stampsHead + 8*stripeCount + 4
)

// save writes the warm tier and its stamps. The stamps go last: without them the entries mean nothing at the next start.
func (s *Store) save() error {
	at, _ := s.place.now()
	if s.o.Dir == "" || !at.known || at.seq == 0 {
		return nil
	}
	if err := discard(s.o.Dir); err != nil {
		return err
	}
	s.sinkAll(time.Now().Add(sinkTime))
	err := s.warm.cache.SaveToFileConcurrent(filepath.Join(s.o.Dir, warmDir), 0)
	if err == nil {
		err = s.warm.codec.save(s.o.Dir)
	}
	if err == nil {
		err = s.saveStamps(at)
	}
	if err != nil {
		return fmt.Errorf("save the warm tier: %w", err)
	}
	return nil
}

func (s *Store) saveStamps(at mark) error {
	form := documentForm()
	b := make([]byte, 0, stampsSize)
	b = binary.LittleEndian.AppendUint64(b, stampsMagic)
	b = append(b, form[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.seq))
	b = append(b, at.chain[:]...)
	b = binary.LittleEndian.AppendUint64(b, s.warm.written.Load())
	b = binary.LittleEndian.AppendUint64(b, s.stamps.now())
	b = binary.LittleEndian.AppendUint64(b, s.stamps.floor.Load())
	for i := range s.stamps.stripes {
		b = binary.LittleEndian.AppendUint64(b, s.stamps.stripes[i].Load())
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	path := filepath.Join(s.o.Dir, stampsFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// restore reads the stamps that belong to the entries on disk, and returns how much was written to them and whether there are
// any; without stamps the warm tier begins empty. What was saved serves this one start, and only once it is certain that no later one finds it again: a process
// that is killed has not saved what it alone knew to be changed.
func (s *Store) restore() (written uint64, ok bool) {
	path := filepath.Join(s.o.Dir, stampsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	if err := remove(s.o.Dir, path); err != nil {
		s.o.Log.Warn("warm cache begins empty: what was saved can't be removed, and must not be used twice", "error", err.Error())
		return 0, false
	}
	form := documentForm()
	switch {
	case len(b) != stampsSize, binary.LittleEndian.Uint64(b) != stampsMagic,
		binary.LittleEndian.Uint32(b[stampsSize-4:]) != crc32.ChecksumIEEE(b[:stampsSize-4]), string(b[8:40]) != string(form[:]):
		s.o.Log.Info("warm cache begins empty: what was saved is damaged or of another release")
		return 0, false
	}
	at := mark{seq: knowledge.Seq(binary.LittleEndian.Uint64(b[40:])), known: true}
	copy(at.chain[:], b[48:])
	s.place.at = at
	s.stamps.clock.Store(binary.LittleEndian.Uint64(b[88:]) + 1)
	s.stamps.floor.Store(binary.LittleEndian.Uint64(b[96:]))
	for i := range s.stamps.stripes {
		s.stamps.stripes[i].Store(binary.LittleEndian.Uint64(b[stampsHead+8*i:]))
	}
	return binary.LittleEndian.Uint64(b[80:]), true
}

// discard makes the directory and removes what was saved in it, the stamps first.
func discard(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the warm cache's directory: %w", err)
	}
	err := remove(dir, filepath.Join(dir, stampsFile))
	left, _ := filepath.Glob(filepath.Join(dir, "fastcache.tmp.*")) // of a save that was cut off
	for _, path := range append(left, filepath.Join(dir, warmDir), filepath.Join(dir, dictFile)) {
		if err == nil {
			err = os.RemoveAll(path)
		}
	}
	if err != nil {
		return fmt.Errorf("remove the warm cache of the last start: %w", err)
	}
	return nil
}

// remove removes a file for good: not even a loss of power brings it back.
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

// documentForm tells releases apart whose documents look different in JSON.
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
	return [32]byte(h.Sum(nil))
}
