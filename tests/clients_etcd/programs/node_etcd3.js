// The npm package etcd3. Argument: the server's port. Reports as scenarios.py describes.
'use strict';

const assert = require('node:assert/strict');
const readline = require('node:readline');
const { once } = require('node:events');
const { Etcd3, EtcdLockFailedError } = require('etcd3');

const port = process.argv[2];
const client = new Etcd3({ hosts: `http://127.0.0.1:${port}` });
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

async function restartServer() {
  tell({ wants: 'restart' });
  await lines.next();
}

async function putsGetsAndDeletes() {
  const keys = client.namespace('node/kv/');
  assert.equal(await keys.get('none').string(), null);
  await keys.put('a').value('1');
  await keys.put('b').value(2);
  const replaced = await keys.put('a').value('3').getPrevious();
  assert.equal(replaced.value.toString(), '1');
  assert.deepEqual(await keys.getAll().sort('Value', 'Descend').strings(), { a: '3', b: '2' });
  assert.equal(await keys.getAll().count(), 2);
  assert.equal((await keys.getAll().limit(1).exec()).more, true);
  assert.equal(await keys.get('b').number(), 2);
  assert.equal((await keys.delete().all()).deleted, '2');
}

async function transactionsTakeTheirBranch() {
  const keys = client.namespace('node/txn/');
  const create = () =>
    keys.if('a', 'Create', '==', 0).then(keys.put('a').value('mine')).else(keys.get('a')).commit();
  assert.equal((await create()).succeeded, true);
  const second = await create();
  assert.equal(second.succeeded, false);
  assert.equal(second.responses[0].response_range.kvs[0].value.toString(), 'mine');
}

async function memoryTransactionsRetryOnConflict() {
  const keys = client.namespace('node/stm/');
  await keys.put('counter').value(0);
  const increment = () =>
    client.stm({ retries: 50 }).transact(async (tx) => {
      const current = await tx.get('node/stm/counter').number();
      await tx.put('node/stm/counter').value(current + 1);
    });
  await Promise.all([increment(), increment(), increment(), increment()]);
  assert.equal(await keys.get('counter').number(), 4);
}

async function watchersSeeEveryChange() {
  const watcher = await client.watch().prefix('node/watch/').withPreviousKV().create();
  const seen = [];
  const three = new Promise((resolve) => {
    const note = (kind) => (kv, previous) => {
      seen.push([kind, kv.key.toString(), kv.value.toString(), previous ? previous.value.toString() : null]);
      if (seen.length === 3) resolve();
    };
    watcher.on('put', note('put')).on('delete', note('delete'));
  });
  await client.put('node/watch/a').value('1');
  await client.put('node/watch/a').value('2');
  await client.delete().key('node/watch/a');
  await three;
  assert.deepEqual(seen, [
    ['put', 'node/watch/a', '1', null],
    ['put', 'node/watch/a', '2', '1'],
    ['delete', 'node/watch/a', '', '2'],
  ]);
  await watcher.cancel();
}

async function watchersGoOnAfterARestart() {
  const watcher = await client.watch().key('node/restart').create();
  const values = [];
  watcher.on('put', (kv) => values.push(kv.value.toString()));
  await client.put('node/restart').value('before');
  const disconnected = once(watcher, 'disconnected');
  const connected = disconnected.then(() => once(watcher, 'connected'));
  await restartServer();
  await connected;
  await retried(() => client.put('node/restart').value('after').exec());
  await eventually(() => values.includes('after'));
  assert.deepEqual([...new Set(values)], ['before', 'after']);
  await watcher.cancel();
}

async function leasesKeepAndDropTheirKeys() {
  const lease = client.lease(2);
  await lease.put('node/lease/a').value('kept');
  const renewed = await new Promise((resolve) => lease.on('keepaliveSucceeded', resolve));
  assert.equal(renewed.TTL, '2');
  await lease.keepaliveOnce();
  await lease.revoke();
  assert.equal(await client.get('node/lease/a').string(), null);
  const forgotten = client.lease(1, { autoKeepAlive: false });
  await forgotten.put('node/lease/b').value('dropped');
  await eventually(async () => (await client.get('node/lease/b').string()) === null);
}

async function locksExclude() {
  const first = client.lock('node/lock').ttl(60);
  await first.acquire();
  await assert.rejects(client.lock('node/lock').acquire(), EtcdLockFailedError);
  await first.release();
  assert.equal(await client.lock('node/lock').do(() => 'inside'), 'inside');
}

async function electionsHandOver() {
  const election = client.election('node/election', 60);
  const first = election.campaign('first');
  await first.wait();
  const observer = await election.observe();
  assert.equal(await election.leader(), 'first');
  const second = election.campaign('second');
  const handedOver = new Promise((resolve) => {
    observer.on('change', (leader) => leader === 'second' && resolve());
  });
  await first.proclaim('first, again');
  await eventually(async () => (await election.leader()) === 'first, again');
  await first.resign();
  await second.wait();
  await handedOver;
  await observer.cancel();
  await second.resign();
}

async function theMemberDescribesItself() {
  const { version, leader } = await client.maintenance.status();
  const { members } = await client.cluster.memberList({});
  assert.match(version, /^3\./);
  assert.equal(members[0].ID, leader);
}

async function eventually(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function retried(call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function main() {
  const scenarios = [
    putsGetsAndDeletes, transactionsTakeTheirBranch, memoryTransactionsRetryOnConflict, watchersSeeEveryChange,
    leasesKeepAndDropTheirKeys, locksExclude, electionsHandOver, theMemberDescribesItself, watchersGoOnAfterARestart,
  ];
  for (const scenario of scenarios) {
    try {
      await scenario();
      tell({ passed: scenario.name });
    } catch (error) {
      tell({ failed: scenario.name, why: String(error.stack) });
    }
  }
  client.close();
  process.exit(0);
}

main();
