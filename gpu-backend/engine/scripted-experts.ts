/**
 * A row model without a model: logits come from a function of the row's source and the tokens so far. With it every part of
 * serving but the arithmetic runs in milliseconds, and a test can make an expert fail at a chosen token.
 */
import type { Experts, NewRow, RowOutput, RowSource, RowStep } from './experts.ts';

/** [V] logits. `bounds` are those of a layers row. */
export type Script = (
  kind: RowSource['kind'],
  ids: readonly number[],
  bounds?: Extract<RowSource, { kind: 'layers' }>['bounds'],
) => ArrayLike<number>;

export type ScriptedOptions = {
  vocabSize: number;
  /** How long a run takes: time for a test to step in between two tokens. */
  stepMs?: number;
  /** What the layers router wants of the safety expert, mean over its layers; held between the row's bounds as the graph does. */
  alpha?: (ids: readonly number[]) => number;
  /** The last hidden state of an expert's row. */
  hidden?: (kind: RowSource['kind'], ids: readonly number[]) => ArrayLike<number>;
};

export class ScriptedExperts implements Experts {
  readonly vocabSize: number;
  readonly #script: Script;
  readonly #options: Required<ScriptedOptions>;
  /** The tokens of each row. */
  #rows: number[][] = [];

  constructor(script: Script, { vocabSize, stepMs = 0, alpha = () => 0.5, hidden = () => [] }: ScriptedOptions) {
    this.#script = script;
    this.vocabSize = vocabSize;
    this.#options = { vocabSize, stepMs, alpha, hidden };
  }

  get rowCount(): number {
    return this.#rows.length;
  }

  async add(rows: readonly NewRow[]): Promise<RowOutput[]> {
    const added = rows.map(({ ids }) => [...ids]);
    const outputs = await this.#outputs(
      rows.map(({ source }) => source),
      added,
    );
    this.#rows.push(...added);
    return outputs;
  }

  async advance(steps: readonly RowStep[]): Promise<RowOutput[]> {
    this.#rows.forEach((ids, row) => {
      ids.push(steps[row]!.id);
    });
    return this.#outputs(
      steps.map(({ source }) => source),
      this.#rows,
    );
  }

  keep(rows: readonly number[]): void {
    this.#rows = rows.map((row) => this.#rows[row]!);
  }

  async close(): Promise<void> {
    this.#rows = [];
  }

  async #outputs(sources: readonly RowSource[], rows: readonly (readonly number[])[]): Promise<RowOutput[]> {
    const { stepMs, alpha, hidden } = this.#options;
    if (stepMs > 0) await new Promise((resolve) => setTimeout(resolve, stepMs));
    return sources.map((source, row): RowOutput => {
      const ids = rows[row]!;
      if (source.kind !== 'layers') {
        const state = source.hidden ? Float32Array.from(hidden(source.kind, ids)) : null;
        return { logits: this.#logits(this.#script(source.kind, ids)), hidden: state, alpha: null };
      }
      const { floor, ceiling } = source.bounds;
      const held = Math.min(Math.max(alpha(ids), floor), ceiling);
      return { logits: this.#logits(this.#script('layers', ids, source.bounds)), hidden: null, alpha: held };
    });
  }

  /** A script that says less than a whole row leaves the rest at 0. */
  #logits(scripted: ArrayLike<number>): Float32Array {
    const logits = new Float32Array(this.vocabSize);
    logits.set(scripted);
    return logits;
  }
}
