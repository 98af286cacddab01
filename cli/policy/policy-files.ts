/** Reads policy documents from files and folders, and tells which level each is for. */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { Option } from 'commander';
import { LEVELS, type LevelName } from '#policies/effective.ts';
import { type PolicyProblem, readPolicy } from '#policies/problems.ts';
import type { Policy } from '#policies/schema.ts';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import { whyNot } from '../options/why-not.ts';

/** A request has no document. */
const DOCUMENT_LEVELS = LEVELS.filter((level) => level !== 'request');

export type PolicyFile = { file: string; level: LevelName } & (
  | { policy: Policy; version: string; problems: [] }
  | { policy: null; version: null; problems: PolicyProblem[] }
);
export type SoundFile = Extract<PolicyFile, { version: string }>;

export const levelOption = () =>
  new Option('--level <level>', 'whose documents these are, in place of what their places say').choices(
    DOCUMENT_LEVELS,
  );

/** The folder of a level's documents, in a repository of policies. */
const FOLDERS: Readonly<Record<string, LevelName>> = { plans: 'plan', keys: 'key', tenants: 'tenant' };

/** As in docs/policies.md: by the name of the file, or of its folder. */
function levelOf(file: string): LevelName {
  if (path.basename(file) === 'operator.json') return 'operator';
  return FOLDERS[path.basename(path.dirname(path.resolve(file)))] ?? 'tenant';
}

/** All documents in these files and folders, in alphabetical order within a folder. */
export async function readPolicyFiles(places: readonly string[], level?: LevelName): Promise<PolicyFile[]> {
  const files = (await Promise.all(places.map(filesAt))).flat();
  if (files.length === 0) throw new Error(`${places.join(', ')}: found no policies, wanted files that end in .json`);
  return Promise.all(files.map((file) => readPolicyFile(file, level)));
}

/** One document with its faults. Throws if the file cannot be read. */
async function readPolicyFile(file: string, level: LevelName = levelOf(file)): Promise<PolicyFile> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw cannotRead(file, cause);
  });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    const found = `text that is not JSON (${(cause as SyntaxError).message})`;
    return { file, level, policy: null, version: null, problems: [{ key: 'the document', found, wanted: 'JSON' }] };
  }
  const read = readPolicy(document, level === 'tenant' ? 'policy' : 'part');
  if (read.policy === null) return { file, level, ...read, version: null };
  return { file, level, ...read, version: await policyVersion(canonicalPolicy(read.policy)) };
}

/** One document without faults. Throws with all of them otherwise. */
export async function readSoundPolicy(file: string, level?: LevelName): Promise<SoundFile> {
  const read = await readPolicyFile(file, level);
  if (read.policy === null) throw new Error(`${file} is not a valid policy\n${faultsOf(read).join('\n')}`);
  return read;
}

/** A line for each fault: the file, the key, what was found and what was wanted. */
export function faultsOf({ file, problems }: Pick<PolicyFile, 'file' | 'problems'>): string[] {
  return problems.map(({ key, found, wanted }) => `${file}: ${key}: found ${found}, wanted ${wanted}`);
}

/** A folder stands for the documents in it and below it. Schemas for editors are not documents. */
async function filesAt(place: string): Promise<string[]> {
  const found = await stat(place).catch((cause: unknown) => {
    throw cannotRead(place, cause);
  });
  if (!found.isDirectory()) return [place];
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json') && !entry.name.endsWith('.schema.json'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter(
      (file) =>
        !path
          .relative(place, file)
          .split(path.sep)
          .some((part) => part.startsWith('.') || part === 'node_modules'),
    )
    .sort();
}

function cannotRead(place: string, cause: unknown): Error {
  return new Error(
    `${place} cannot be read: ${whyNot(cause)}; a policy is a JSON file, such as those in policies/presets`,
    { cause },
  );
}
