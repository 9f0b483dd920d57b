// etcd's own Go client with its concurrency package. Argument: the server's endpoint. Reports as scenarios.py describes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

const patience = 60 * time.Second

var (
	client  *clientv3.Client
	answers = bufio.NewReader(os.Stdin)
)

type scenario struct {
	name string
	run  func(context.Context) error
}

func main() {
	var err error
	client, err = clientv3.New(clientv3.Config{
		Endpoints: []string{os.Args[1]}, DialTimeout: patience, Logger: zap.NewNop(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	for _, each := range []scenario{
		{"puts, gets and deletes", keyValues},
		{"transactions take their branch", transactions},
		{"watches see every change", watches},
		{"a watch from a compacted revision is told so", compactedWatch},
		{"leases are kept alive, and expire", leases},
		{"errors are those of the client's package", typedErrors},
		{"mutexes exclude", mutexes},
		{"elections hand over", elections},
		{"memory transactions retry on conflict", memoryTransactions},
		{"the member describes itself", maintenance},
		{"watches and sessions survive a restart", restart},
	} {
		report(each)
	}
}

func report(each scenario) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(context.Background()), patience)
	defer cancel()
	if err := each.run(ctx); err != nil {
		tell(map[string]string{"failed": each.name, "why": err.Error()})
	} else {
		tell(map[string]string{"passed": each.name})
	}
}

func tell(message map[string]string) {
	line, _ := json.Marshal(message)
	fmt.Println(string(line))
}

func restartServer() error {
	tell(map[string]string{"wants": "restart"})
	_, err := answers.ReadString('\n')
	return err
}

// expect names what differs: wanted and found, as they print.
func expect(what string, found, wanted any) error {
	if fmt.Sprint(found) != fmt.Sprint(wanted) {
		return fmt.Errorf("%s: found %v, wanted %v", what, found, wanted)
	}
	return nil
}

func keyValues(ctx context.Context) error {
	_, err := client.Put(ctx, "go/kv/a", "1")
	put, err2 := client.Put(ctx, "go/kv/a", "2", clientv3.WithPrevKV())
	_, err3 := client.Put(ctx, "go/kv/b", "0")
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	sorted, err := client.Get(ctx, "go/kv/", clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend), clientv3.WithLimit(1))
	old, err2 := client.Get(ctx, "go/kv/a", clientv3.WithRev(put.PrevKv.ModRevision), clientv3.WithSerializable())
	deleted, err3 := client.Delete(ctx, "go/kv/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	return errors.Join(
		expect("previous value", string(put.PrevKv.Value), "1"),
		expect("first of the sorted", string(sorted.Kvs[0].Value), "2"),
		expect("count and more", []any{sorted.Count, sorted.More}, []any{2, true}),
		expect("old value", string(old.Kvs[0].Value), "1"),
		expect("deleted", []any{deleted.Deleted, string(deleted.PrevKvs[0].Value)}, []any{2, "2"}),
	)
}

func transactions(ctx context.Context) error {
	create := func() (*clientv3.TxnResponse, error) {
		return client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision("go/txn/a"), "=", 0)).
			Then(clientv3.OpPut("go/txn/a", "mine")).
			Else(clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("go/txn/a"), clientv3.OpPut("go/txn/b", "x")}, nil)).
			Commit()
	}
	first, err := create()
	second, err2 := create()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	inner := second.Responses[0].GetResponseTxn()
	return errors.Join(
		expect("branches", []bool{first.Succeeded, second.Succeeded, inner.Succeeded}, []bool{true, false, true}),
		expect("value", string(inner.Responses[0].GetResponseRange().Kvs[0].Value), "mine"),
	)
}

func watches(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live := client.Watch(ctx, "go/watch/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	created := <-live
	first, err := client.Put(ctx, "go/watch/a", "1")
	_, err2 := client.Put(ctx, "go/watch/a", "2")
	_, err3 := client.Delete(ctx, "go/watch/a")
	if err := errors.Join(err, err2, err3, created.Err()); err != nil {
		return err
	}
	history := client.Watch(ctx, "go/watch/a", clientv3.WithRev(first.Header.Revision), clientv3.WithFilterPut())
	problems := errors.Join(
		expect("live", events(live, 3), []string{"PUT 1 <- ", "PUT 2 <- 1", "DELETE  <- 2"}),
		expect("deletes of history", events(history, 1), []string{"DELETE  <- "}),
		client.RequestProgress(ctx),
	)
	for response := range live {
		if response.IsProgressNotify() {
			return problems
		}
	}
	return errors.Join(problems, errors.New("no progress notification"))
}

// events waits for that many, and describes them: type, value, previous value.
func events(responses clientv3.WatchChan, count int) []string {
	var found []string
	for response := range responses {
		for _, event := range response.Events {
			previous := ""
			if event.PrevKv != nil {
				previous = string(event.PrevKv.Value)
			}
			found = append(found, fmt.Sprintf("%s %s <- %s", event.Type, event.Kv.Value, previous))
		}
		if len(found) >= count {
			break
		}
	}
	return found
}

func compactedWatch(ctx context.Context) error {
	first, err := client.Put(ctx, "go/compact", "1")
	last, err2 := client.Put(ctx, "go/compact", "2")
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	_, err = client.Compact(ctx, last.Header.Revision, clientv3.WithCompactPhysical())
	refused := <-client.Watch(ctx, "go/compact", clientv3.WithRev(first.Header.Revision))
	return errors.Join(
		err,
		expect("error", refused.Err(), rpctypes.ErrCompacted),
		expect("compacted revision", refused.CompactRevision, last.Header.Revision),
	)
}

func leases(ctx context.Context) error {
	kept, err := client.Grant(ctx, 2)
	lost, err2 := client.Grant(ctx, 1)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	alive, err := client.KeepAlive(ctx, kept.ID)
	_, err2 = client.Put(ctx, "go/lease/kept", "1", clientv3.WithLease(kept.ID))
	put, err3 := client.Put(ctx, "go/lease/lost", "1", clientv3.WithLease(lost.ID))
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	for range 3 {
		if renewed := <-alive; renewed == nil || renewed.TTL != 2 {
			return fmt.Errorf("keepalive: %v", renewed)
		}
	}
	gone := client.Watch(ctx, "go/lease/lost", clientv3.WithRev(put.Header.Revision+1))
	problems := expect("expiry", events(gone, 1), []string{"DELETE  <- "})
	left, err := client.TimeToLive(ctx, kept.ID, clientv3.WithAttachedKeys())
	_, err2 = client.Revoke(ctx, kept.ID)
	if err := errors.Join(problems, err, err2); err != nil {
		return err
	}
	return expect("keys", left.Keys, [][]byte{[]byte("go/lease/kept")})
}

func typedErrors(ctx context.Context) error {
	_, noLease := client.Put(ctx, "go/errors", "", clientv3.WithLease(404))
	_, noKey := client.Put(ctx, "", "")
	_, future := client.Get(ctx, "go/errors", clientv3.WithRev(1<<40))
	_, tooLarge := client.Put(ctx, "go/errors", strings.Repeat("x", 3<<20))
	_, twice := client.Txn(ctx).Then(clientv3.OpPut("go/errors", "1"), clientv3.OpPut("go/errors", "2")).Commit()
	return errors.Join(
		expect("lease", noLease, rpctypes.ErrLeaseNotFound),
		expect("key", noKey, rpctypes.ErrEmptyKey),
		expect("revision", future, rpctypes.ErrFutureRev),
		expect("size", tooLarge != nil, true),
		expect("duplicate", twice, rpctypes.ErrDuplicateKey),
	)
}

func mutexes(ctx context.Context) error {
	first, err := concurrency.NewSession(client, concurrency.WithTTL(60))
	second, err2 := concurrency.NewSession(client, concurrency.WithTTL(60))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	defer first.Close()
	defer second.Close()
	held, wanted := concurrency.NewMutex(first, "go/mutex"), concurrency.NewMutex(second, "go/mutex")
	problems := errors.Join(held.Lock(ctx), expect("try", wanted.TryLock(ctx), concurrency.ErrLocked))
	acquired := make(chan error)
	go func() { acquired <- wanted.Lock(ctx) }()
	return errors.Join(problems, held.Unlock(ctx), <-acquired, wanted.Unlock(ctx))
}

func elections(ctx context.Context) error {
	first, err := concurrency.NewSession(client, concurrency.WithTTL(60))
	second, err2 := concurrency.NewSession(client, concurrency.WithTTL(60))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	defer first.Close()
	defer second.Close()
	ours, theirs := concurrency.NewElection(first, "go/election"), concurrency.NewElection(second, "go/election")
	if err := ours.Campaign(ctx, "ours"); err != nil {
		return err
	}
	observed := ours.Observe(ctx)
	problems := expect("first leader", string((<-observed).Kvs[0].Value), "ours")
	elected := make(chan error)
	go func() { elected <- theirs.Campaign(ctx, "theirs") }()
	problems = errors.Join(problems, ours.Proclaim(ctx, "ours still"), ours.Resign(ctx), <-elected)
	for leader := range observed {
		if string(leader.Kvs[0].Value) == "theirs" {
			return errors.Join(problems, theirs.Resign(ctx))
		}
	}
	return errors.Join(problems, errors.New("the second leader was not observed"))
}

func memoryTransactions(ctx context.Context) error {
	const workers = 5
	var group sync.WaitGroup
	failures := make([]error, workers)
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			_, failures[worker] = concurrency.NewSTM(client, func(stm concurrency.STM) error {
				stm.Put("go/stm", stm.Get("go/stm")+"x")
				return nil
			}, concurrency.WithAbortContext(ctx))
		}()
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	end, err := client.Get(ctx, "go/stm")
	if err != nil {
		return err
	}
	return expect("value", string(end.Kvs[0].Value), strings.Repeat("x", workers))
}

func maintenance(ctx context.Context) error {
	status, err := client.Status(ctx, client.Endpoints()[0])
	members, err2 := client.MemberList(ctx)
	alarms, err3 := client.AlarmList(ctx)
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	snapshot, err := client.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	bytes, err := io.Copy(io.Discard, snapshot)
	return errors.Join(
		err,
		expect("leader", status.Leader, members.Members[0].ID),
		expect("alarms", len(alarms.Alarms), 0),
		expect("a snapshot", bytes > 32, true),
		client.Sync(ctx),
	)
}

func restart(ctx context.Context) error {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	defer session.Close()
	watched := client.Watch(ctx, "go/restart/", clientv3.WithPrefix())
	_, err = client.Put(ctx, "go/restart/a", "before", clientv3.WithLease(session.Lease()))
	problems := errors.Join(err, expect("before", events(watched, 1), []string{"PUT before <- "}), restartServer())
	for ctx.Err() == nil {
		if _, err = client.Put(ctx, "go/restart/a", "after", clientv3.WithLease(session.Lease())); err == nil {
			break
		}
	}
	return errors.Join(problems, err, expect("after", events(watched, 1), []string{"PUT after <- "}))
}
