/** The CPU time of another process, as Linux counts it: in ticks of ten milliseconds. */
import { readFile } from 'node:fs/promises';

/** `CLK_TCK`, which Linux tells every program to be 100. */
const TICK_MS = 10;

/** Milliseconds that all threads of a process have computed, since its start. */
export async function cpuMsOf(pid: number): Promise<number> {
  return parseCpuMs(await readFile(`/proc/${pid}/stat`, 'utf8'));
}

/** `pid (name) state ...`: the name may contain anything, and two of the numbers are the time. */
export function parseCpuMs(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  if (!(user >= 0 && system >= 0)) throw new Error('/proc/…/stat: found no CPU time, wanted utime and stime');
  return (user + system) * TICK_MS;
}
