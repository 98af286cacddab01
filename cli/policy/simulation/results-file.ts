/** The file of a simulation's results, which a run that was stopped goes on from. */
import { appendFile, readFile, truncate } from 'node:fs/promises';
import type { Compared } from '#policies/simulation/outcome.ts';
import { differenceOf, type Head, lineOf, readResults } from '#policies/simulation/results.ts';
import { whyNot } from '../../options/why-not.ts';
import { makePrivate, writePrivate } from './private-file.ts';

/** What errors about the file tell people to do. */
export const REMEDY = 'name another --out, or begin anew with --force';

/**
 * Opens the file, or makes it, for its owner alone. Returns what it already has, by index.
 *
 * @param force begin anew, whatever is there
 */
export async function openResults(
  file: string,
  head: Head,
  { force }: { force: boolean },
): Promise<Map<number, Compared>> {
  const text = force ? '' : await readFile(file, 'utf8').catch(nothingIfMissing(file));
  const results = readOrRefuse(text, file);
  if (results === null) {
    await writePrivate(file, lineOf(head));
    return new Map();
  }
  const { whole, done } = results;
  refuseOther(file, results.head, head);
  await makePrivate(file);
  // A line that a killed run was writing has no end. The next one must not be joined to it.
  if (whole !== text) await truncate(file, Buffer.byteLength(whole));
  return done;
}

/** Adds a line, which is on the disk when this resolves. */
export async function appendResult(file: string, compared: Compared): Promise<void> {
  await appendFile(file, lineOf(compared), { flush: true });
}

function readOrRefuse(text: string, file: string) {
  try {
    return readResults(text, file);
  } catch (cause) {
    throw new Error(`${whyNot(cause)}; name another --out`, { cause });
  }
}

function refuseOther(file: string, found: Head, wanted: Head): void {
  const other = differenceOf(found, wanted);
  if (other === null) return;
  throw new Error(`${file}: ${other.field}: found a simulation with ${other.found}, wanted ${other.wanted}; ${REMEDY}`);
}

function nothingIfMissing(file: string) {
  return (cause: NodeJS.ErrnoException): string => {
    if (cause.code === 'ENOENT') return '';
    throw new Error(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  };
}
