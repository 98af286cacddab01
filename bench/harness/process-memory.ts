/** The memory of another process, as Linux counts it. */

import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';

/** In bytes. */
export type ProcessMemory = {
  /** What it has in memory now, pages of mapped files included (VmRSS). */
  resident: number;
  /** The most it ever had, or has had since `resetPeak` (VmHWM). */
  peak: number;
};

/** Other systems have no /proc. */
export const canMeasureMemory = existsSync('/proc/self/clear_refs');

export async function memoryOf(pid: number): Promise<ProcessMemory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return { resident: parseStatus(status, 'VmRSS'), peak: parseStatus(status, 'VmHWM') };
}

/** The peak is what the process has now, and grows from there. */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** A line such as `VmRSS:	  123456 kB`. */
export function parseStatus(status: string, field: string): number {
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  if (kilobytes === undefined) throw new Error(`/proc/…/status: found no ${field} in kB, wanted one`);
  return Number(kilobytes) * 1024;
}
