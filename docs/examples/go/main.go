// Counts outcomes: the records of the topic completions, each once, in a SQLite database.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"
)

const (
	kind      = "rendercast.completion"
	batchSize = 500
	tables    = `
CREATE TABLE IF NOT EXISTS outcomes (id TEXT PRIMARY KEY, file_id TEXT NOT NULL, outcome TEXT NOT NULL, url TEXT);
CREATE TABLE IF NOT EXISTS counts (outcome TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (place TEXT PRIMARY KEY, reason TEXT NOT NULL, value BLOB);`
)

// Completion holds the fields that are used here. Others, and those of newer releases, are ignored.
type Completion struct {
	ID      string  `json:"id"`
	FileID  string  `json:"file_id"`
	Outcome string  `json:"outcome"`
	URL     *string `json:"url"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+env("DATABASE", "outcomes.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(tables); err != nil {
		return err
	}
	start := kgo.NewOffset().AtStart()
	if env("START", "earliest") == "latest" {
		start = kgo.NewOffset().AtEnd()
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(env("BOOTSTRAP_SERVERS", "localhost:9092")),
		kgo.ConsumerGroup(env("GROUP", "outcomes-go")),
		kgo.ConsumeTopics(env("TOPIC", "render.completions")),
		kgo.ConsumeResetOffset(start),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // a partition is not given away between its records' effect and their commit
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance() // leaves the group: the others need not wait for a timeout
	for {
		fetches := client.PollRecords(ctx, batchSize)
		if ctx.Err() != nil {
			return nil // what was polled just now comes again
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			slog.Warn("not read, the client tries again", "topic", topic, "partition", partition, "error", err)
		})
		if err := store(db, fetches.Records()); err != nil {
			return err // nothing was committed: after a restart the records come again
		}
		if err := commit(client, fetches.Records()); err != nil {
			slog.Warn("not committed, the records come again", "error", err)
		}
		client.AllowRebalance()
	}
}

// store makes one transaction of all effects. A record that has been counted changes nothing.
func store(db *sql.DB, records []*kgo.Record) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, record := range records {
		if record.Value == nil || header(record, "ce_type") != kind {
			continue // a tombstone, or what a newer release has to say
		}
		found, err := parse(record.Value)
		if err != nil {
			err = setAside(tx, record, err)
		} else {
			err = count(tx, found)
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func parse(value []byte) (found Completion, err error) {
	if err = json.Unmarshal(value, &found); err == nil && (found.ID == "" || found.FileID == "" || found.Outcome == "") {
		err = fmt.Errorf("id, file_id and outcome are needed")
	}
	return found, err
}

func count(tx *sql.Tx, found Completion) error {
	result, err := tx.Exec(`INSERT INTO outcomes VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		found.ID, found.FileID, found.Outcome, found.URL)
	if err != nil {
		return err
	}
	if added, err := result.RowsAffected(); err != nil || added == 0 {
		return err
	}
	_, err = tx.Exec(`INSERT INTO counts VALUES (?, 1) ON CONFLICT (outcome) DO UPDATE SET number = number + 1`,
		found.Outcome)
	return err
}

func setAside(tx *sql.Tx, record *kgo.Record, reason error) error {
	place := fmt.Sprintf("%s/%d/%d", record.Topic, record.Partition, record.Offset)
	slog.Warn("set aside", "place", place, "reason", reason)
	_, err := tx.Exec(`INSERT INTO set_aside VALUES (?, ?, ?) ON CONFLICT (place) DO NOTHING`,
		place, reason.Error(), record.Value)
	return err
}

// commit has a deadline of its own, so that a stop does not take the offsets of what has been stored.
func commit(client *kgo.Client, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return client.CommitRecords(ctx, records...)
}

func header(record *kgo.Record, name string) string {
	for _, each := range record.Headers {
		if each.Key == name {
			return string(each.Value)
		}
	}
	return ""
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
