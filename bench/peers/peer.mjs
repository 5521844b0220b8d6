// Locks of Node packages under measurement: `peer.mjs LOCK URL,URL,URL`.
//
// Says one line when it is ready, then answers each line `TASKS SECONDS` with one: how many cycles of acquire and release
// its tasks made, each on a name of its own, and how long acquire took. All lines out are JSON.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { join } from "node:path";

// The packages lie where they were installed, not beside this file.
const require = createRequire(join(process.env.PEERS_NODE, "package.json"));
const { Redis } = require("ioredis");

const TTL_MS = 5000;
const [label, urls] = [process.argv[2], process.argv[3].split(",")];
const clients = urls.map((url) => new Redis(url));

const makers = {
  redlock: () => {
    const Redlock = require("redlock");
    const manager = new Redlock(clients, { retryCount: 0 });
    return (name) => ({ acquire: () => manager.lock(name, TTL_MS), release: (held) => held.unlock() });
  },
  "redlock-universal": () => {
    const { createRedlock, IoredisAdapter } = require("redlock-universal");
    const adapters = clients.map((client) => new IoredisAdapter(client));
    return (key) => {
      const lock = createRedlock({ adapters, key, ttl: TTL_MS, retryAttempts: 0 });
      return { acquire: () => lock.acquire(), release: (held) => lock.release(held) };
    };
  },
};

async function cycle(lock, end, latenciesUs) {
  do {
    const start = performance.now();
    // Free locks: a refusal is thrown, and ends the measurement.
    const held = await lock.acquire();
    latenciesUs.push((performance.now() - start) * 1000);
    await lock.release(held);
  } while (performance.now() < end);
}

async function measure(make, tasks, seconds) {
  const latenciesUs = [];
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  const locks = Array.from({ length: tasks }, (_, task) => make(`bench:${label}:${task}`));
  await Promise.all(locks.map((lock) => cycle(lock, start + seconds * 1000, latenciesUs)));
  const elapsedUs = (performance.now() - start) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  latenciesUs.sort((one, other) => one - other);
  const at = (of) => latenciesUs[Math.min(latenciesUs.length - 1, Math.floor((latenciesUs.length * of) / 100))];
  return {
    cycles: latenciesUs.length,
    elapsed_us: Math.round(elapsedUs),
    cpu_us: user + system,
    p50: at(50),
    p90: at(90),
    p99: at(99),
  };
}

// What one round trip costs in this language before any lock is made of it.
async function pingUs(client) {
  const times = [];
  for (let count = 0; count < 500; count += 1) {
    const start = performance.now();
    await client.ping();
    times.push((performance.now() - start) * 1000);
  }
  return times.sort((one, other) => one - other)[250];
}

const make = makers[label]();
await Promise.all(clients.map((client) => client.ping()));
console.log(JSON.stringify({ ping_us: await pingUs(clients[0]) }));
for await (const line of createInterface({ input: process.stdin })) {
  const [tasks, seconds] = line.split(" ");
  console.log(JSON.stringify(await measure(make, Number(tasks), Number(seconds))));
}
clients.forEach((client) => client.disconnect());
