package outbox_test

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"pgo/pkg/mq"
	"pgo/pkg/outbox"
	"pgo/pkg/testkit"
)

func TestZZ(t *testing.T) {
	db := database(t)
	b := testkit.RabbitMQ(t)
	cfg := config(b)
	if err := mq.Declare(context.Background(), cfg, mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: []string{"user.#"}}}}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, cfg)
	var mu sync.Mutex
	seen := map[string]int{}
	go c.Consume(context.Background(), mq.Consumer{Queue: queue, Workers: 4, Prefetch: 100, Handler: func(_ context.Context, d mq.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		seen[d.Event.ID]++
		return nil
	}})
	o := outbox.Options{}
	start := time.Now()
	tx, _ := db.Begin()
	for n := range int64(5000) {
		add(t, tx, fmt.Sprint("u", n%500), n+1)
	}
	tx.Commit()
	fmt.Println("appended", time.Since(start))
	start = time.Now()
	run(t, db, c, o)
	drained(t, db)
	fmt.Println("relayed 5000", time.Since(start))
	want := 5000
	for round := range 2 {
		go func() {
			fmt.Println(exec.Command("bash", "-c", "kill -9 $(cat /tmp/mqfake/rabbit/mnesia/*.pid); sleep 2; (bash /tmp/mqfake/rabbit/run.sh &)").Run())
		}()
		for n := range int64(400) {
			add(t, db, fmt.Sprint("r", round, n%20), n+1)
			want++
			time.Sleep(10 * time.Millisecond)
		}
		start = time.Now()
		for {
			mu.Lock()
			n := len(seen)
			mu.Unlock()
			if n == want {
				break
			}
			if time.Since(start) > 60*time.Second {
				t.Fatal(n, want)
			}
			time.Sleep(50 * time.Millisecond)
		}
		dups := 0
		for _, n := range seen {
			dups += n - 1
		}
		fmt.Println("round", round, "all there after", time.Since(start), "dups", dups)
	}
}
