/** Which bundles a stack serves, and the model ids that their requests are routed by. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/** What comes with Plimsoll. */
const EMBEDDED = path.join(import.meta.dirname, '../../models/demo');
const MANIFEST = 'plimsoll.json';
/** The backend checks the rest. */
const Identified = z.object({ id: z.string().min(1) });

export type BundleToServe = {
  dir: string;
  /** The model id that clients use. */
  id: string;
  /** False if nobody asked for it. Then the stack runs without it if it cannot be served. */
  required: boolean;
};

/**
 * The bundles in `named`, or else the embedded one and those in `found`, in the order in which they
 * are listed to people: the last one is the one to try first. Throws if a bundle that somebody
 * named is not there, or if two of those have the same model id.
 */
export async function bundlesToServe({
  named,
  found = [],
  log,
}: {
  /** Folders that the operator named; null if there are none. */
  named: readonly string[] | null;
  /** Folders that the stack found by itself. */
  found?: readonly string[];
  log: (message: string) => void;
}): Promise<BundleToServe[]> {
  const bundles: BundleToServe[] = [];
  for (const dir of named ?? [EMBEDDED]) bundles.push({ dir, id: await modelId(dir), required: true });
  for (const dir of named === null ? found : []) {
    try {
      const id = await modelId(dir);
      if (bundles.some((other) => other.id === id)) throw new Error(`${dir} has the model id "${id}" of another one`);
      bundles.push({ dir, id, required: false });
    } catch (error) {
      log(`goes on without a bundle that it found: ${messageOf(error)}`);
    }
  }
  for (const [index, { id, dir }] of bundles.entries()) {
    const before = bundles.slice(0, index).find((other) => other.id === id);
    if (before === undefined) continue;
    throw new Error(
      `two bundles have the model id "${id}": ${before.dir} and ${dir}; "id" in ${MANIFEST} is the model id`,
    );
  }
  return bundles;
}

async function modelId(dir: string): Promise<string> {
  const file = path.join(dir, MANIFEST);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(
      `there is no bundle in ${dir}; --bundle, PLIMSOLL_BUNDLE and PLIMSOLL_BUNDLES name folders of bundles`,
      {
        cause,
      },
    );
  });
  try {
    return Identified.parse(JSON.parse(text)).id;
  } catch (cause) {
    const fault = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : messageOf(cause);
    throw new Error(`${file}: ${fault}`, { cause });
  }
}

const messageOf = (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown));
