/**
 * Says of every row of a data file where it is from and under which licence. A row may say so
 * itself, its source may be a known one, or the user says it for the whole file.
 */
import path from 'node:path';
import { licenceOf, spdxOf, UNKNOWN_LICENCE } from './licences.ts';
import type { Origin } from './rows.ts';

/** What the user says of one file. */
export type FileOrigin = { licence?: string | undefined; source?: string | undefined };

/** A source of the rows that a run was trained on. */
export type DataSource = { name: string; licence: string; rows?: number | undefined };

/**
 * Pairs the flags with the files: one `--licence` (or `--source`) for all of them, or one for each.
 * Throws if their numbers do not fit.
 */
export function fileOrigins(
  files: readonly string[],
  { licence, source }: { licence: readonly string[]; source: readonly string[] },
): FileOrigin[] {
  const licences = licence.map((text) => spdxOf(text, '--licence'));
  const one = (flag: string, values: readonly string[], at: number) => {
    if (values.length <= 1 || values.length === files.length) return values.length === 1 ? values[0] : values[at];
    throw new Error(`${flag}: found ${values.length} of them for ${files.length} files, wanted one, or one for each`);
  };
  return files.map((_, at) => ({ licence: one('--licence', licences, at), source: one('--source', source, at) }));
}

/**
 * Fills in the licence of each row. `given.source` replaces what rows say of their source, and then
 * `given.licence` is theirs. Otherwise it is that of the rows whose source is not known. Throws if
 * a row's licence stays unknown, or if no row needed `given.licence` and it is another than theirs.
 */
export function withOrigins<Row extends Origin>(rows: readonly Row[], given: FileOrigin, file: string): Row[] {
  if (given.source !== undefined) {
    const { source } = given;
    const licence = given.licence ?? licenceOf(source);
    if (licence === null) throw new Error(unknown(file, [source]));
    return rows.map((row) => ({ ...row, source, licence }));
  }
  const known = rows.map(knownLicence);
  const missing = rows.filter((_, i) => known[i] === null);
  if (missing.length > 0 && given.licence === undefined) {
    throw new Error(unknown(file, [...new Set(missing.map(({ source }) => source))]));
  }
  const other = known.find((licence) => licence !== null && licence !== given.licence);
  if (given.licence !== undefined && missing.length === 0 && other !== undefined) {
    throw new Error(
      `${file}: found rows under ${other}, by their sources, and --licence ${given.licence}: leave it out, or say with --source where you have them from`,
    );
  }
  // Rows without a source have the file's path, which is nobody else's business.
  const named = (source: string) => (source === file ? path.basename(file) : source);
  return rows.map((row, i) => ({ ...row, source: named(row.source), licence: known[i] ?? given.licence }));
}

function unknown(file: string, sources: readonly string[]): string {
  const named = sources.filter((source) => source !== file).slice(0, 3);
  const which = named.length === 0 ? 'its rows' : `rows from ${named.map((name) => `"${name}"`).join(', ')}`;
  return `${file}: the licence of ${which} is not known, and the weights' licence depends on it: give --licence with an SPDX identifier, "own" if you wrote them, or "unknown"`;
}

const knownLicence = ({ licence, source }: Origin): string | null => licence ?? licenceOf(source);

/** The sources of rows, with their number, in the order of their names. */
export function sourcesOf(rows: Iterable<Origin>): DataSource[] {
  const found = new Map<string, Required<DataSource>>();
  for (const row of rows) {
    const licence = knownLicence(row) ?? UNKNOWN_LICENCE;
    const key = `${row.source}\n${licence}`;
    const entry = found.get(key) ?? { name: row.source, licence, rows: 0 };
    found.set(key, { ...entry, rows: (entry.rows ?? 0) + 1 });
  }
  return inOrder([...found.values()]);
}

/** Sources of several runs, each of them once. The counts are of different rows, so they go. */
export function mergeSources(...lists: readonly (readonly DataSource[])[]): DataSource[] {
  const found = new Map(lists.flat().map(({ name, licence }) => [`${name}\n${licence}`, { name, licence }]));
  return inOrder([...found.values()]);
}

/** A run's own sources with their counts, and behind them those that only `theirs` has. */
export function withInherited(own: readonly DataSource[], theirs: readonly DataSource[]): DataSource[] {
  const isOwn = (other: DataSource) =>
    own.some(({ name, licence }) => name === other.name && licence === other.licence);
  return [...own, ...mergeSources(theirs).filter((source) => !isOwn(source))];
}

function inOrder(sources: DataSource[]): DataSource[] {
  return sources.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
