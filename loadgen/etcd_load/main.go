// Command etcd_load puts a closed load on etcd through its own Go client, and prints what came of it as one JSON object.
//
// It does to etcd what oarlock.loadgen does to Oarlock: the same keys, values and requests in flight, so that the two
// can be compared. Connections go to the endpoints in turn, as etcd's own "benchmark" has them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// values is how many different values are put in turn, as in plan.py.
const values = 16

var (
	endpoints    = flag.String("endpoints", "127.0.0.1:2379", "host:port, separated by commas")
	operation    = flag.String("operation", "put", "put, range, or list: all keys in one answer")
	keysOnly     = flag.Bool("keys-only", false, "list: without values")
	serializable = flag.Bool("serializable", false, "range: from the member that is asked, perhaps behind")
	connections  = flag.Int("connections", 1, "connections, which share the requests in flight")
	inFlight     = flag.Int("in-flight", 1, "requests in flight in all")
	seconds      = flag.Float64("seconds", 5, "after which no more is sent")
	total        = flag.Int64("total", 0, "requests in all; 0: until the seconds are over")
	keys         = flag.Int64("keys", 10000, "different keys")
	keyBytes     = flag.Int("key-bytes", 32, "bytes of a key")
	valueBytes   = flag.Int("value-bytes", 256, "bytes of a value")
	prefix       = flag.String("prefix", "bench/", "of the keys")
	random       = flag.Bool("random", false, "keys at random instead of in turn")
	timeout      = flag.Duration("timeout", 5*time.Second, "that a request may take")
)

// lane is one request in flight after the other, and what came of them.
type lane struct {
	client    *clientv3.Client
	random    *rand.Rand
	latencies []int64
	errors    map[string]int
}

// plan hands out requests to the lanes. Its fields are touched by several of them at a time.
type plan struct {
	sent   atomic.Int64
	end    time.Time
	values [][]byte
}

// next is the number of a request that is to be sent, or false at the end.
func (plan *plan) next() (int64, bool) {
	number := plan.sent.Add(1) - 1
	return number, (*total == 0 || number < *total) && (*total > 0 || time.Now().Before(plan.end))
}

func (lane *lane) run(plan *plan) {
	for {
		number, more := plan.next()
		if !more {
			return
		}
		if *random {
			number = lane.random.Int63()
		}
		key := fmt.Sprintf("%s%0*d", *prefix, *keyBytes-len(*prefix), number%*keys)
		begin := time.Now()
		if err := lane.send(key, plan.values[number%values]); err != nil {
			lane.errors[err.Error()]++
			continue
		}
		lane.latencies = append(lane.latencies, int64(time.Since(begin)))
	}
}

func (lane *lane) send(key string, value []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	if *operation == "put" {
		_, err := lane.client.Put(ctx, key, string(value))
		return err
	}
	options := []clientv3.OpOption{}
	if *serializable {
		options = append(options, clientv3.WithSerializable())
	}
	found := 1
	if *operation == "list" {
		key, found = *prefix, int(*keys)
		options = append(options, clientv3.WithPrefix())
		if *keysOnly {
			options = append(options, clientv3.WithKeysOnly())
		}
	}
	response, err := lane.client.Get(ctx, key, options...)
	if err == nil && len(response.Kvs) != found {
		return fmt.Errorf("%d keys instead of %d: a read that finds too little is worth nothing", len(response.Kvs), found)
	}
	return err
}

// connect opens the connections, each to one endpoint, and waits until each has answered.
func connect() ([]*clientv3.Client, error) {
	addresses := strings.Split(*endpoints, ",")
	clients := make([]*clientv3.Client, *connections)
	for number := range clients {
		address := addresses[number%len(addresses)]
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: *timeout})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), *timeout)
		_, err = client.Get(ctx, "connected?", clientv3.WithSerializable())
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		clients[number] = client
	}
	return clients, nil
}

func makeLanes(clients []*clientv3.Client) []*lane {
	lanes := make([]*lane, *inFlight)
	for number := range lanes {
		source := rand.New(rand.NewSource(int64(number)))
		lanes[number] = &lane{clients[number%len(clients)], source, nil, map[string]int{}}
	}
	return lanes
}

func makeValues() [][]byte {
	made := make([][]byte, values)
	source := rand.New(rand.NewSource(0))
	for number := range made {
		made[number] = make([]byte, *valueBytes)
		source.Read(made[number])
	}
	return made
}

// processorTime of this process, user and system.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func report(lanes []*lane, elapsed, processor time.Duration) map[string]any {
	latencies, errors, failed := []int64{}, map[string]int{}, 0
	for _, lane := range lanes {
		latencies = append(latencies, lane.latencies...)
		for text, count := range lane.errors {
			errors[text] += count
			failed += count
		}
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	percentile := func(percent float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return float64(latencies[min(int(float64(len(latencies))*percent/100), len(latencies)-1)]) / 1e6
	}
	return map[string]any{
		"requests_per_second":        float64(len(latencies)) / elapsed.Seconds(),
		"latency_ms":                 map[string]float64{"p50": percentile(50), "p99": percentile(99), "max": percentile(100)},
		"errors":                     errors,
		"generator_cpu_us_a_request": float64(processor.Microseconds()) / float64(max(len(latencies)+failed, 1)),
	}
}

func main() {
	flag.Parse()
	clients, err := connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd_load:", err)
		os.Exit(1)
	}
	lanes := makeLanes(clients)
	begin, processor := time.Now(), processorTime()
	plan := &plan{end: begin.Add(time.Duration(*seconds * float64(time.Second))), values: makeValues()}
	var running sync.WaitGroup
	for _, one := range lanes {
		running.Add(1)
		go func() {
			defer running.Done()
			one.run(plan)
		}()
	}
	running.Wait()
	figures := report(lanes, time.Since(begin), processorTime()-processor)
	if err := json.NewEncoder(os.Stdout).Encode(figures); err != nil {
		panic(err)
	}
}
