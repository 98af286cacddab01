/**
 * Damages a running stack: kills and pauses backends, and kills the edge once, at times drawn from
 * a seed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { descendantsOf } from '../test/process-tree.ts';
import type { RunningStack } from '../test/running-stack.ts';

export type Damage = {
  /** One line per action. */
  done: string[];
  /** The times from when we kill the edge until it answers again. */
  edgeAway: { from: number; to: number }[];
};

const KILL_SHARE = 0.4;
const PAUSE_S = { least: 1, most: 12 };
const BETWEEN_S = { least: 2, most: 6 };
const EDGE_BACK_MS = 60_000;

/** Runs until `over` fires. At the end no process is left paused. */
export async function damageStack(
  stack: RunningStack,
  { random, edgeAtMs, over }: { random: () => number; edgeAtMs: number; over: AbortSignal },
): Promise<Damage> {
  const beganAt = Date.now();
  const damage: Damage = { done: [], edgeAway: [] };
  const note = (what: string) => {
    damage.done.push(what);
    console.log(`  ${((Date.now() - beganAt) / 1000).toFixed(1).padStart(6)} s  ${what}`);
  };
  const between = ({ least, most }: typeof PAUSE_S) => 1000 * (least + random() * (most - least));
  const wait = (ms: number) => sleep(ms, undefined, { signal: over }).catch(() => undefined);
  const pauses: Promise<void>[] = [];

  const pause = async (pid: number, ms: number) => {
    if (!send(pid, 'SIGSTOP')) return;
    await wait(ms);
    send(pid, 'SIGCONT');
  };

  const hitBackends = async () => {
    for (;;) {
      await wait(between(BETWEEN_S));
      if (over.aborted) return;
      const urls = [...new Set(stack.backends().map(({ url }) => url))].sort();
      const url = urls[Math.floor(random() * urls.length)]!;
      // A restarted backend has the same address, so we take the newest one.
      const { pid } = stack.backends().find((backend) => backend.url === url)!;
      const name = `backend ${urls.indexOf(url) + 1} (${pid})`;
      const ms = between(PAUSE_S);
      if (random() < KILL_SHARE) note(`${name} ${send(pid, 'SIGKILL') ? 'killed' : 'was gone already'}`);
      else {
        note(`${name} stopped for ${(ms / 1000).toFixed(1)} s`);
        pauses.push(pause(pid, ms));
      }
    }
  };

  const hitEdge = async () => {
    await wait(edgeAtMs);
    const workerd = descendantsOf(stack.process.pid!).find(({ command }) => /workerd\S* serve/.test(command));
    if (over.aborted) return;
    if (workerd === undefined) throw new Error('there is no workerd under the stack');
    const from = Date.now();
    send(workerd.pid, 'SIGKILL');
    note(`the edge's workerd (${workerd.pid}) killed`);
    const away = { from, to: Number.POSITIVE_INFINITY };
    damage.edgeAway.push(away);
    while (Date.now() - from < EDGE_BACK_MS) {
      // The process that we just killed may still hold the port.
      await sleep(200);
      const answers = await fetch(`${stack.url}/healthz`, { signal: AbortSignal.timeout(2000) }).then(
        (response) => response.body?.cancel().then(() => true),
        () => false,
      );
      if (!answers) continue;
      away.to = Date.now();
      note(`the edge answers again, after ${((away.to - from) / 1000).toFixed(1)} s`);
      return;
    }
    note(`the edge has not come back in ${EDGE_BACK_MS / 1000} s`);
  };

  await Promise.all([hitBackends(), hitEdge()]);
  await Promise.all(pauses);
  return damage;
}

/** Returns false if there is no such process. */
function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
