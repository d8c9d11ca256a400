package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"pgo/bootcheck/account"
	"pgo/bootcheck/server"
	"pgo/pkg/testing/testkit"
)

// asProgramVariable makes this test binary run as bootcheck, so that a test can kill it.
const asProgramVariable = "BOOTCHECK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgramVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestOnceContinuesAfterKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills bootcheck in a long migration")
	}
	e := newTestEnv(t)
	e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a SELECT SLEEP(3);\nALTER TABLE a ADD COLUMN c INT;\nINSERT INTO a VALUES (1, 1);")
	cmd := exec.Command(os.Args[0], "once")
	cmd.Env = append(append(os.Environ(), e.environ()...), asProgramVariable+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	db, err := server.OpenMySQL(e.servers.MySQL, account.DatabaseName(e.service.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	testkit.Eventually(t, "the second statement runs", func() error {
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pgo_schema_statement WHERE number = 2 AND done_at IS NULL").Scan(&n); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%d intents", n)
		}
		return nil
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the error reports the kill
	if log, code, err := e.runCommand("once"); code != 0 {
		t.Fatalf("exit %d: %v\n%s", code, err, log)
	}
	if got := e.queryValue("SELECT GROUP_CONCAT(id ORDER BY id) FROM a"); got != "0,1" {
		t.Errorf("rows %s", got)
	}
}
