/**
 * What an unfinished import has written so far. The first line says of what, and each further line
 * names a tensor and the CRC-32 of its bytes. A power cut may leave the journal ahead of the data,
 * so a second run reads the tensors again and believes only what has the right sum.
 */
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';

export const JOURNAL_FILE = 'import.jsonl';

const Head = z.strictObject({ of: z.string() });
const Line = z.strictObject({ tensor: z.string(), crc32: z.int().min(0) });

export class ImportJournal {
  /** The CRC-32 of each tensor that is written. */
  readonly written: ReadonlyMap<string, number>;
  readonly #file: string;

  private constructor(file: string, written: ReadonlyMap<string, number>) {
    this.#file = file;
    this.written = written;
  }

  /** Goes on with the journal in a folder, if it is about the same thing; else begins a new one. */
  static async open(folder: string, of: string): Promise<ImportJournal> {
    const file = join(folder, JOURNAL_FILE);
    const [first = '', ...lines] = (await readFile(file, 'utf8').catch(() => '')).split('\n');
    const same = Head.safeParse(parsed(first)).data?.of === of;
    const written = new Map<string, number>();
    for (const line of same ? lines : []) {
      const entry = Line.safeParse(parsed(line)).data;
      // The last line may be torn.
      if (entry === undefined) break;
      written.set(entry.tensor, entry.crc32);
    }
    // Rewritten whole, so that a torn line does not spoil the next.
    const text = [{ of }, ...[...written].map(([tensor, crc32]) => ({ tensor, crc32 }))];
    await writeFile(file, text.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return new ImportJournal(file, written);
  }

  /** Whether an import has written a tensor into the folder. */
  static hasTensors(folder: string): boolean {
    const file = join(folder, JOURNAL_FILE);
    return (
      existsSync(file) &&
      readFileSync(file, 'utf8')
        .split('\n')
        .some((line) => Line.safeParse(parsed(line)).success)
    );
  }

  async add(tensor: string, crc32: number): Promise<void> {
    await appendFile(this.#file, `${JSON.stringify({ tensor, crc32 })}\n`);
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
