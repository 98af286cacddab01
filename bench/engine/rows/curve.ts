/**
 * Tokens a second of 1 to 32 rows: one expert (a row an answer), two experts (two rows), llama.cpp
 * (a sequence an answer), all greedy, one round. Also what a row takes of memory, and from how many
 * rows on a step is arithmetic and no longer reading.
 *
 * Written down before measuring: in f32 the machine is bound by arithmetic from 16 rows on, in int4
 * from 4.
 */
import { headDim } from '#gpu-backend/model/config.ts';
import { withContenders } from '../contenders.ts';
import type { BenchModel, WeightKind } from '../models.ts';
import { storyPrompts } from '../prompts.ts';
import { type Point, type Row, result, type Setting } from '../row.ts';
import { msPerStep, tokensPerSecond } from '../token-times.ts';
import { LLAMA_CPP } from './decode.ts';

const ROWS = [1, 2, 4, 8, 16, 32] as const;
/** Of each answer: fewer than in other rows, because there are many points. */
const MOST_TOKENS = 24;
const CONTEXT = 1024;

export const curveRow: Row = {
  title: 'tokens a second over the number of rows',
  async run(setting) {
    const points: Record<string, Point[]> = {};
    const notes: string[] = [];
    for (const kind of ['f32', 'int4'] as const) {
      const curve = await measure(setting, kind);
      points[`curve ${kind}`] = curve.points;
      notes.push(...lines(curve.points), ...curve.notes);
    }
    notes.push(await memoryNote(setting.model));
    return result({ points, notes });
  },
};

async function measure(
  { model, threads, tokens }: Setting,
  kind: WeightKind,
): Promise<{ points: Point[]; notes: string[] }> {
  const prompts = storyPrompts(await model.head(), Math.max(...ROWS));
  const count = Math.min(MOST_TOKENS, tokens);
  return withContenders(async (contenders) => {
    const place = { threads, context: CONTEXT, rows: Math.max(...ROWS) };
    const one = await contenders.engine(await model.plain(kind), place);
    const two = await contenders.engine(await model.adapted(kind), place);
    const peer = await contenders.llamaCpp(await model.gguf(kind), { threads });
    const ask = (answers: number) => ({ prompts: prompts.slice(0, answers), tokens: count, draw: 'greedy' as const });
    const run = async (answers: number) => ({
      ours: await one.ask('answers', { experts: 1, ...ask(answers) }),
      theirs: await peer.streams(prompts.slice(0, answers), { count: count + 1, contextSize: CONTEXT, threads }),
      both: await two.ask('answers', { experts: 2, ...ask(Math.ceil(answers / 2)) }),
    });
    // Warms everything up.
    await run(1);
    const points: Point[] = [];
    const steps: number[] = [];
    const memory = { ours: [] as number[], peer: [] as number[] };
    for (const rows of ROWS) {
      const { ours, theirs, both } = await run(rows);
      points.push({ name: `one expert, ${kind}`, x: rows, y: tokensPerSecond(ours.times) });
      points.push({ name: LLAMA_CPP[kind], x: rows, y: tokensPerSecond(theirs.times) });
      if (rows > 1) points.push({ name: `two experts, ${kind}`, x: rows / 2, y: tokensPerSecond(both.times) });
      steps.push(msPerStep(ours.times));
      memory.ours.push(ours.memory);
      memory.peer.push(theirs.memory);
    }
    return { points, notes: [boundNote(kind, steps), rowNote(kind, memory.ours, memory.peer)] };
  });
}

/** A line of the plot in words. */
function lines(points: readonly Point[]): string[] {
  return [...new Set(points.map(({ name }) => name))].map((name) => {
    const own = points.filter((point) => point.name === name).toSorted((a, b) => a.x - b.x);
    return `${name}: ${own.map(({ x, y }) => `${x} at once ${y.toFixed(0)}`).join(', ')} tokens/s`;
  });
}

/** From where on twice the rows take more than one and a half times as long. */
function boundNote(kind: WeightKind, steps: readonly number[]): string {
  const from = ROWS.findIndex((_, i) => i > 0 && steps[i]! / steps[i - 1]! > 1.5);
  const shown = steps.map((ms) => ms.toFixed(1)).join(', ');
  const bound = from === -1 ? 'no doubling of the rows' : `the doubling from ${ROWS[from - 1]} to ${ROWS[from]} rows`;
  return `${kind}: a step of ${ROWS.join(', ')} rows takes ${shown} ms: ${bound} takes more than 1.5 times as long first`;
}

function rowNote(kind: WeightKind, ours: readonly number[], peer: readonly number[]): string {
  const perRow = (all: readonly number[]) => (all.at(-1)! - all[0]!) / (ROWS.at(-1)! - ROWS[0]!) / 2 ** 20;
  return (
    `${kind}: from 1 to 32 rows the process grows by ${perRow(ours).toFixed(1)} MiB a row, ` +
    `llama.cpp by ${perRow(peer).toFixed(1)} MiB (a context of ${CONTEXT} tokens)`
  );
}

/** Keys and values, by arithmetic. */
async function memoryNote(model: BenchModel): Promise<string> {
  const { config } = await model.head();
  const bytes = 4 * 2 * config.num_hidden_layers * config.num_key_value_heads * headDim(config);
  return `keys and values take ${(bytes / 1024).toFixed(1)} KiB a token and row in f32`;
}
