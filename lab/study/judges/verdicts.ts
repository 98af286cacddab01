/**
 * What the judges said of answers, kept in a file that only grows, so that a study which is
 * stopped, or reported again, does not read tens of thousands of answers twice.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { replaceFile } from '#training/run/write-file.ts';

const FILE = 'verdicts.jsonl';
/** Log-odds of each trait that is judged. */
const Verdict = z.strictObject({ refuses: z.number(), harmful: z.number(), helpful: z.number().optional() });
export type Verdict = z.infer<typeof Verdict>;
const Line = z.strictObject({ key: z.string(), ...Verdict.shape });
const Head = z.strictObject({ judges: z.string() });

export class VerdictStore {
  readonly #file: string;
  readonly #verdicts = new Map<string, Verdict>();

  /**
   * Verdicts of other judges are thrown away: they can be made again. So is a line that a stop has
   * cut.
   *
   * @param judges all that decides what the judges say. A digest of it heads the file.
   */
  constructor(dir: string, judges: unknown) {
    makeFolder(dir);
    this.#file = path.join(dir, FILE);
    const head: z.infer<typeof Head> = {
      judges: createHash('sha256').update(JSON.stringify(judges)).digest('hex'),
    };
    const lines = existsSync(this.#file) ? readFileSync(this.#file, 'utf8').split('\n') : [];
    const found = Head.safeParse(jsonOf(lines[0]));
    if (!found.success || found.data.judges !== head.judges) {
      replaceFile(this.#file, `${JSON.stringify(head)}\n`);
      return;
    }
    const parsed = lines.slice(1, -1).flatMap((text) => Line.safeParse(jsonOf(text)).data ?? []);
    for (const { key, ...verdict } of parsed) this.#verdicts.set(key, verdict);
    // The text after the last line's end is a line that a stop has cut.
    if (lines.at(-1) !== '') replaceFile(this.#file, `${lines.slice(0, -1).join('\n')}\n`);
  }

  get(key: string): Verdict | undefined {
    return this.#verdicts.get(key);
  }

  add(verdicts: ReadonlyMap<string, Verdict>): void {
    const fresh = [...verdicts].filter(([key]) => !this.#verdicts.has(key));
    for (const [key, verdict] of fresh) this.#verdicts.set(key, verdict);
    const lines = fresh.map(([key, verdict]) => `${JSON.stringify({ key, ...verdict })}\n`);
    appendFileSync(this.#file, lines.join(''), { flush: true });
  }
}

/** undefined, which no schema takes, for what is not JSON. */
function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
