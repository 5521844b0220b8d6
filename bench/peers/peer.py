"""Locks of Python packages under measurement: `peer.py LOCK URL,URL,URL`.

Says one line when it is ready, then answers each line `TASKS SECONDS` with one: how many cycles of acquire and release its
tasks made, each on a name of its own, and how long acquire took. All lines out are JSON.
"""

import asyncio
import json
import statistics
import sys
import time

from pottery import AIORedlock
from redis.asyncio import Redis
from redis.asyncio.lock import Lock

TTL_S = 5


def pottery(clients, name):
    """Three servers, majority."""
    return AIORedlock(key=name, masters=set(clients), auto_release_time=TTL_S, raise_on_redis_errors=True)


def redis_py(clients, name):
    """One server only: there is no majority to wait for."""
    return Lock(clients[0], name, timeout=TTL_S, blocking=False)


async def cycle(lock, end, latencies_us):
    while True:
        start = time.perf_counter()
        # Free locks: a refusal would make this a measurement of something else.
        assert await lock.acquire()
        latencies_us.append((time.perf_counter() - start) * 1e6)
        await lock.release()
        if time.perf_counter() >= end:
            return


async def measure(make, clients, label, tasks, seconds):
    latencies_us = []
    cpu, start = time.process_time(), time.perf_counter()
    locks = [make(clients, f"bench:{label}:{task}") for task in range(tasks)]
    await asyncio.gather(*(cycle(lock, start + seconds, latencies_us) for lock in locks))
    elapsed_s = time.perf_counter() - start
    latencies_us.sort()
    return {
        "cycles": len(latencies_us),
        "elapsed_us": round(elapsed_s * 1e6),
        "cpu_us": round((time.process_time() - cpu) * 1e6),
        **{f"p{of}": latencies_us[min(len(latencies_us) - 1, len(latencies_us) * of // 100)] for of in (50, 90, 99)},
    }


async def ping_us(client):
    """What one round trip costs in this language before any lock is made of it."""
    times = []
    for _ in range(500):
        start = time.perf_counter()
        await client.ping()
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


async def main():
    label, urls = sys.argv[1], sys.argv[2].split(",")
    make = {"pottery": pottery, "redis-py": redis_py}[label]
    clients = [Redis.from_url(url) for url in urls]
    for client in clients:
        await client.ping()
    print(json.dumps({"ping_us": await ping_us(clients[0])}), flush=True)
    for line in iter(sys.stdin.readline, ""):
        tasks, seconds = line.split()
        print(json.dumps(await measure(make, clients, label, int(tasks), float(seconds))), flush=True)
    for client in clients:
        await client.aclose()


asyncio.run(main())
