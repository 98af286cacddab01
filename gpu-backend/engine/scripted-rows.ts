/**
 * A row model without a model: logits come from a function of the expert and the tokens so far. With it every part of
 * serving but the arithmetic runs in milliseconds, and a test can make an expert fail at a chosen token.
 */
import type { ExpertRole } from '../model/manifest.ts';
import type { NewRow, RowModel } from './row-model.ts';

export type Script = (expert: ExpertRole, ids: readonly number[]) => ArrayLike<number>;

export class ScriptedRows implements RowModel {
  readonly vocabSize: number;
  readonly #script: Script;
  readonly #stepMs: number;
  #rows: { expert: ExpertRole; ids: number[] }[] = [];

  /** `stepMs` is how long a run takes: time for a test to step in between two tokens. */
  constructor(script: Script, { vocabSize, stepMs = 0 }: { vocabSize: number; stepMs?: number }) {
    this.#script = script;
    this.vocabSize = vocabSize;
    this.#stepMs = stepMs;
  }

  get rowCount(): number {
    return this.#rows.length;
  }

  async add(rows: readonly NewRow[]): Promise<Float32Array> {
    const added = rows.map(({ expert, ids }) => ({ expert, ids: [...ids] }));
    const logits = await this.#logits(added);
    this.#rows.push(...added);
    return logits;
  }

  async advance(ids: readonly number[]): Promise<Float32Array> {
    this.#rows.forEach((row, i) => {
      row.ids.push(ids[i]!);
    });
    return this.#logits(this.#rows);
  }

  keep(rows: readonly number[]): void {
    this.#rows = rows.map((row) => this.#rows[row]!);
  }

  async close(): Promise<void> {
    this.#rows = [];
  }

  async #logits(rows: readonly { expert: ExpertRole; ids: number[] }[]): Promise<Float32Array> {
    if (this.#stepMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#stepMs));
    const out = new Float32Array(rows.length * this.vocabSize);
    rows.forEach(({ expert, ids }, i) => {
      out.set(this.#script(expert, ids), i * this.vocabSize);
    });
    return out;
  }
}
