/**
 * What the base makes of an answer: its hidden states over the answer's tokens, after the prompt.
 * They are the features of the judges. No expert takes part, so every method is read alike.
 *
 * Reading takes about as long as a prefill of prompt and answer, so states are kept, each under a
 * digest of its tokens. A run that was stopped goes on where it was, and an answer that two methods
 * share is read once.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import type { ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { NO_ROUTERS } from '#gpu-backend/model/router.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { replaceFile } from '#training/run/write-file.ts';
import type { BaseModel } from '#training/stages/base-model.ts';
import type { Block } from '../../probes/fit-logistic.ts';
import { type PlannedPrompt, sharedTokens } from '../../probes/plan-prompts.ts';
import { promptsBar } from '../../probes/progress.ts';
import { type BlockName, blockNames, StateReader, type States } from '../../probes/read-states.ts';
import { candidateLayers } from '../../probes/recipe.ts';

/** How many answers are read before they are kept. */
const KEPT_AT_ONCE = 32;
const FILES = { settings: 'settings.json', keys: 'keys.txt', states: 'states.f32' } as const;
const KEY_LENGTH = 64;

type AskedAnswer = { prompt: readonly Message[]; answer: string };

/**
 * Which answers fit the model's context, by their places in the list, and their states
 * `[places, d]` by layer and pooling.
 */
export type AnswerStates = { places: readonly number[]; blocks: ReadonlyMap<BlockName, Block> };

/** `plan.prompt` is the answer's place, `key` a digest of what is read. */
type PlannedAnswer = { plan: PlannedPrompt; key: string };

const Settings = z.strictObject({
  /** SHA-256 of the base's weights. */
  base: z.string(),
  layers: z.array(z.int()),
});

/** The base that is read: its tokens, and how to open it when something has to be read. */
export type ReadBase = Pick<BaseModel, 'config' | 'digest' | 'tokenizer'> & { open: () => Promise<ServedBundle> };

/** The bundle's base alone, without any expert's adapter or prompt. */
function baseOf(bundle: ServedBundle): ServedBundle {
  const experts = bundle.experts.map(({ name, role }) => ({ name, role, ...NO_ADAPTER }));
  return { ...bundle, experts, routers: NO_ROUTERS, prompts: {} };
}

/** Counted from 0. */
export const layersRead = ({ num_hidden_layers: count }: BaseModel['config']): number[] => candidateLayers(count);

export class AnswerReader {
  readonly #base: ReadBase;
  readonly #layers: readonly number[];
  readonly #store: StateStore;
  readonly #threads: number;
  readonly #log: boolean;
  /** Opened when the first answer has to be read, and kept, because opening takes seconds. */
  #reader: StateReader | null = null;

  /** @param dir where states are kept. They are refused if they are another base's. */
  constructor(base: ReadBase, { dir, threads, log = true }: { dir: string; threads: number; log?: boolean }) {
    const { config, digest } = base;
    this.#base = base;
    this.#layers = layersRead(config);
    this.#store = new StateStore(dir, {
      settings: { base: digest, layers: [...this.#layers] },
      width: config.hidden_size,
    });
    this.#threads = threads;
    this.#log = log;
  }

  async read(answers: readonly AskedAnswer[]): Promise<AnswerStates> {
    const fits = this.#planned(answers);
    await this.#readEach(
      fits.filter(({ key }) => !this.#store.has(key)),
      (part, states) =>
        this.#store.add(
          part.flatMap(({ plan }) => keysOf(plan)),
          states,
        ),
    );
    return {
      places: fits.map(({ plan }) => plan.prompt),
      blocks: this.#store.blocks(fits.map(({ key }) => key)),
    };
  }

  /** A digest of what is read of each answer; null if it does not fit the model's context. */
  keys(answers: readonly AskedAnswer[]): (string | null)[] {
    const keys = new Array<string | null>(answers.length).fill(null);
    for (const { plan, key } of this.#planned(answers)) keys[plan.prompt] = key;
    return keys;
  }

  /**
   * Reads answers without keeping their states: tens of thousands of them would fill the memory.
   * `each` gets some at a time, and `AnswerStates.places` are those in `answers`.
   */
  async readOnce(answers: readonly AskedAnswer[], each: (states: AnswerStates) => void): Promise<void> {
    const width = this.#base.config.hidden_size;
    await this.#readEach(this.#planned(answers), (part, states) => {
      // The answer is the last piece of each plan.
      let row = -1;
      const rows = part.map(({ plan }) => {
        row += plan.pieces.length;
        return row;
      });
      const blocks = [...states].map(([name, all]): [BlockName, Block] => {
        const data = new Float32Array(rows.length * width);
        for (const [i, from] of rows.entries()) data.set(all.subarray(from * width, (from + 1) * width), i * width);
        return [name, { width, data }];
      });
      each({ places: part.map(({ plan }) => plan.prompt), blocks: new Map(blocks) });
    });
  }

  /** Those that fit the model's context. */
  #planned(answers: readonly AskedAnswer[]): PlannedAnswer[] {
    const { config, tokenizer } = this.#base;
    return answers
      .map((answer, i) => planAnswer(answer, { place: i, tokenizer }))
      .filter(({ ids }) => ids.length <= config.max_position_embeddings)
      .map((plan) => ({ plan, key: keysOf(plan).at(-1)! }));
  }

  async close(): Promise<void> {
    await this.#reader?.dispose();
    this.#reader = null;
  }

  /** What is the same to the base is read once. The shortest come first. */
  async #readEach(
    answers: readonly PlannedAnswer[],
    each: (part: readonly PlannedAnswer[], states: States) => void,
  ): Promise<void> {
    const fresh = [...new Map(answers.map((answer) => [answer.key, answer])).values()].sort(
      (a, b) => a.plan.ids.length - b.plan.ids.length || a.plan.prompt - b.plan.prompt,
    );
    if (fresh.length === 0) return;
    const bar = this.#log ? promptsBar(fresh.map(({ plan }) => plan.ids.length)) : null;
    try {
      this.#reader ??= await this.#open(fresh.map(({ plan }) => plan));
      for (let at = 0; at < fresh.length; at += KEPT_AT_ONCE) {
        const part = fresh.slice(at, at + KEPT_AT_ONCE);
        each(part, await this.#reader.read(part.map(({ plan }) => plan)));
        bar?.onPrompts(part.length, true);
      }
    } finally {
      bar?.stop();
    }
  }

  async #open(plans: readonly PlannedPrompt[]): Promise<StateReader> {
    const bundle = baseOf(await this.#base.open());
    const reader = await StateReader.create(bundle, { layers: this.#layers, threads: this.#threads });
    await reader.share(plans[0]!.ids.slice(0, sharedTokens(plans)));
    return reader;
  }
}

/**
 * Two pieces: the prompt's last token, and the answer's tokens if there are any. A prompt's state
 * is that of a blank answer, so whoever asks for it after an answer need not read it again.
 */
function planAnswer(
  { prompt, answer }: AskedAnswer,
  { place, tokenizer: { renderChat, tokenizer } }: { place: number; tokenizer: BaseModel['tokenizer'] },
): PlannedPrompt {
  const head = renderChat(prompt, { addGenerationPrompt: true });
  const ids = [...head, ...tokenizer.encode(answer)];
  const pieceOf = (from: number, to: number) => ({ from, to, last: to - 1 });
  const end = pieceOf(head.length - 1, head.length);
  const pieces = ids.length === head.length ? [end] : [end, pieceOf(head.length, ids.length)];
  return { prompt: place, ids, pieces, ofWindow: [] };
}

/** Of each piece. What comes after a piece does not change its states. */
function keysOf({ ids, pieces }: PlannedPrompt): string[] {
  return pieces.map(({ from, to }) =>
    createHash('sha256')
      .update(`${from};${ids.slice(0, to).join()}`)
      .digest('hex'),
  );
}

/**
 * Two files that only grow: the states `[answers, blocks, d]`, and their keys, one a line. A key is
 * written after its states, so what was cut short in the middle is read again.
 */
class StateStore {
  readonly #dir: string;
  readonly #names: readonly BlockName[];
  readonly #width: number;
  readonly #rows = new Map<string, Float32Array>();

  constructor(dir: string, { settings, width }: { settings: z.infer<typeof Settings>; width: number }) {
    this.#dir = dir;
    this.#names = blockNames(settings.layers);
    this.#width = width;
    makeFolder(dir);
    this.#checkSettings(settings);
    this.#load();
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  /** @param keys of the states' rows. Those that are there already are left alone. */
  add(keys: readonly string[], states: States): void {
    const fresh = [...new Map(keys.map((key, i) => [key, i]))].filter(([key]) => !this.#rows.has(key));
    const size = this.#names.length * this.#width;
    const rows = new Float32Array(fresh.length * size);
    for (const [i, [key, from]] of fresh.entries()) {
      const row = rows.subarray(i * size, (i + 1) * size);
      for (const [b, name] of this.#names.entries()) {
        row.set(states.get(name)!.subarray(from * this.#width, (from + 1) * this.#width), b * this.#width);
      }
      this.#rows.set(key, row);
    }
    appendFileSync(this.#file('states'), Buffer.from(rows.buffer), { flush: true });
    appendFileSync(this.#file('keys'), fresh.map(([key]) => `${key}\n`).join(''), { flush: true });
  }

  blocks(keys: readonly string[]): Map<BlockName, Block> {
    return new Map(
      this.#names.map((name, b) => {
        const data = new Float32Array(keys.length * this.#width);
        for (const [i, key] of keys.entries()) {
          data.set(this.#rows.get(key)!.subarray(b * this.#width, (b + 1) * this.#width), i * this.#width);
        }
        return [name, { width: this.#width, data }];
      }),
    );
  }

  #file(name: keyof typeof FILES): string {
    return path.join(this.#dir, FILES[name]);
  }

  #checkSettings(wanted: z.infer<typeof Settings>): void {
    const file = this.#file('settings');
    if (!existsSync(file)) {
      replaceFile(file, `${JSON.stringify(wanted, null, 2)}\n`);
      return;
    }
    const parsed = Settings.safeParse(jsonOf(readFileSync(file, 'utf8')));
    if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    for (const key of Settings.keyof().options) {
      const [found, want] = [JSON.stringify(parsed.data[key]), JSON.stringify(wanted[key])];
      if (found !== want)
        throw new Error(`${file}: ${key}: found ${found}, wanted ${want}; remove the folder to read anew`);
    }
  }

  #load(): void {
    if (!existsSync(this.#file('keys'))) return;
    const size = 4 * this.#names.length * this.#width;
    const text = readFileSync(this.#file('keys'), 'latin1');
    const keys = text
      .slice(0, text.length - (text.length % (KEY_LENGTH + 1)))
      .split('\n')
      .slice(0, -1);
    const bytes = readFileSync(this.#file('states'));
    const whole = Math.min(keys.length, Math.floor(bytes.length / size));
    for (const [i, key] of keys.slice(0, whole).entries()) {
      this.#rows.set(
        key,
        new Float32Array(bytes.buffer.slice(bytes.byteOffset + i * size, bytes.byteOffset + (i + 1) * size)),
      );
    }
    // What a stop left behind would shift all that is added after it.
    if (statSync(this.#file('keys')).size > whole * (KEY_LENGTH + 1)) {
      truncateSync(this.#file('keys'), whole * (KEY_LENGTH + 1));
    }
    if (bytes.length > whole * size) truncateSync(this.#file('states'), whole * size);
  }
}

/** undefined, which no schema takes, for what is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
