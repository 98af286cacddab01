/**
 * What several positions a question save where experts run elsewhere: round trips a token and
 * tokens a second, against the most positions that a question asks for, temperature and the round
 * trip.
 *
 * The experts are the demo's, so what is accepted is what these two models agree on. They stand
 * behind servers with vLLM's protocol, and what they say is kept, so that an engine takes no time
 * but the one that is simulated: the round trip of a question, and STEP_MS for each token that it
 * says or for all that it scores. Every answer is the same in all columns, which is checked.
 *
 * Written down before measuring: at temperature 0 with 8 positions fewer than 0.6 round trips a
 * token, at 1 fewer than 0.9; at 20 ms at least 1.4 times as many tokens a second with 8 positions
 * as with 1 at temperature 0, and at 1 ms no loss of more than a tenth.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { bundleVocabulary } from '#gpu-backend/engine/bundle-vocabulary.ts';
import { DEFAULT_LIMITS, type EngineRequest } from '#gpu-backend/engine/engine.ts';
import type { Experts } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { Scheduler } from '#gpu-backend/engine/scheduler.ts';
import { openBundle, type ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { RemoteEngine } from '#gpu-backend/remote/ask-engine.ts';
import { RemoteExperts } from '#gpu-backend/remote/remote-experts.ts';
import {
  type EngineServer,
  PROTOCOLS,
  type Protocol,
  serveEngine,
  type Told,
} from '#gpu-backend/remote/testing/engine-servers.ts';
import { VLLM } from '#gpu-backend/remote/vllm.ts';
import { renderSvg } from '#lab/plots/render.ts';
import { seedKey } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { positionsPlot } from './remote-positions-plot.ts';

const POSITIONS = [1, 2, 4, 8, 16];
const TEMPERATURES = [0, 0.7, 1];
const ROUND_TRIPS_MS = [1, 5, 20];
/** A token of an 8B model on one large GPU takes about as long. */
const STEP_MS = 8;
const TOP_K = 20;
const MAX_TOKENS = 40;
const QUESTIONS = [
  'How do I clean the kitchen floor?',
  'What is the capital of France?',
  'Write a few lines about the sea.',
  'How do I get rid of the mould on my bathroom wall?',
];

export type Cell = {
  positions: number;
  temperature: number;
  roundTripMs: number;
  tokens: number;
  roundTripsAToken: number;
  tokensASecond: number;
};

/** Where `docs/scaling.md` has the plot. */
const DOCS = path.join(import.meta.dirname, '../docs');

export async function benchRemotePositions({ bundle: dir }: { bundle: string }): Promise<Record<string, number>> {
  const bundle = await openBundle(dir);
  const behind = await OnnxExperts.create(bundle, { threads: 1, prefixBytes: 2 ** 28 });
  const setting = { roundTripMs: 0 };
  const server = await serveEngine(behind, remembering(PROTOCOLS.vllm(), setting));
  const cells: Cell[] = [];
  try {
    for (const temperature of TEMPERATURES) {
      let wanted: string | null = null;
      for (const roundTripMs of ROUND_TRIPS_MS) {
        for (const positions of POSITIONS) {
          // What has not been said before is computed in a run that is not timed.
          for (const timed of [false, true]) {
            setting.roundTripMs = timed ? roundTripMs : 0;
            const found = await answer({ bundle, server, positions, temperature });
            wanted ??= found.answers;
            if (found.answers !== wanted) throw new Error(`with ${positions} positions the answers are others`);
            if (timed) cells.push({ positions, temperature, roundTripMs, ...found.measured });
          }
          print(cells.at(-1)!);
        }
      }
    }
  } finally {
    await server.close();
    await behind.dispose();
  }
  makeFolder(path.join(DOCS, 'scaling'));
  await writeFile(path.join(DOCS, 'scaling/positions.json'), `${JSON.stringify(cells, null, 1)}\n`);
  await writeFile(path.join(DOCS, 'scaling/positions.svg'), await renderSvg(positionsPlot(cells)));
  return ratios(cells);
}

/** Simulates the way and the engine's work, and remembers what the experts say. */
function remembering(protocol: Protocol, setting: { roundTripMs: number }): Protocol {
  const known = new Map<string, Promise<Told[]>>();
  return {
    ...protocol,
    answer: async (body, next) => {
      // What our dialect sends.
      const { max_tokens: said } = body as { max_tokens: number };
      if (setting.roundTripMs > 0) await pause(setting.roundTripMs + STEP_MS * said);
      return protocol.answer(body, (role, ids) => {
        const key = `${role} ${ids}`;
        const found = known.get(key) ?? next(role, ids);
        known.set(key, found);
        return found;
      });
    },
  };
}

/** Counts the round trips that one answer at a time has to wait for. */
class Counting extends RemoteExperts {
  roundTrips = 0;
  override append(...[steps]: Parameters<Experts['append']>): ReturnType<Experts['append']> {
    if (steps.some(({ want }) => want?.positions !== 0)) this.roundTrips++;
    return super.append(steps);
  }
  override draft(...args: Parameters<Experts['draft']>): ReturnType<Experts['draft']> {
    this.roundTrips++;
    return super.draft(...args);
  }
}

async function answer({
  bundle,
  server,
  positions,
  temperature,
}: {
  bundle: ServedBundle;
  server: EngineServer;
  positions: number;
  temperature: number;
}) {
  const { vocab_size: vocabSize } = bundle.config;
  const engineOf = (model: string) =>
    new RemoteEngine({
      ...{ dialect: VLLM, urls: [server.url], model, topK: TOP_K, vocabSize, timeoutMs: 600_000, apiKey: null },
    });
  const experts = new Counting(
    { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') },
    { vocabSize, topK: TOP_K, positions },
  );
  const said: number[][] = QUESTIONS.map(() => []);
  const scheduler = new Scheduler(experts, {
    vocabulary: bundleVocabulary(bundle),
    ...{ proposal: bundle.manifest.default_weight, contextLength: 256 },
    limits: { ...DEFAULT_LIMITS, speculation: positions > 1 },
    emit: (id, outcome) => {
      if ('error' in outcome) throw outcome.error;
      for (const event of outcome.events) if (event.type === 'token') said[id]!.push(event.id);
    },
  });
  const began = performance.now();
  for (const [id, content] of QUESTIONS.entries()) {
    const request: EngineRequest = {
      ...{ promptIds: [...bundle.renderChat([{ role: 'user', content }])], maxTokens: MAX_TOKENS, stop: [] },
      sampling: { key: seedKey(`${id}`), temperature, topP: 1 },
      line: { ...OPEN_LINE, floor: 0.3, budget: 20 },
    };
    scheduler.submit(id, request);
    while (await scheduler.round());
  }
  const seconds = (performance.now() - began) / 1000;
  await experts.dispose();
  const tokens = said.flat().length;
  const measured = { tokens, roundTripsAToken: experts.roundTrips / tokens, tokensASecond: tokens / seconds };
  return { answers: JSON.stringify(said), measured };
}

function print({ positions, temperature, roundTripMs, tokens, roundTripsAToken, tokensASecond }: Cell): void {
  const at = `temperature ${temperature}, ${roundTripMs} ms, ${positions} positions`;
  console.log(
    `${at}: ${roundTripsAToken.toFixed(3)} round trips a token, ${tokensASecond.toFixed(1)} tokens/s (${tokens})`,
  );
}

function ratios(cells: readonly Cell[]): Record<string, number> {
  const of = (positions: number, temperature: number, roundTripMs: number) =>
    cells.find(
      (cell) => cell.positions === positions && cell.temperature === temperature && cell.roundTripMs === roundTripMs,
    )!;
  return Object.fromEntries(
    TEMPERATURES.flatMap((temperature) => [
      [`round trips a token, 8 positions, temperature ${temperature}`, of(8, temperature, 20).roundTripsAToken],
      ...ROUND_TRIPS_MS.map((ms): [string, number] => [
        `tokens/s with 8 positions / with 1, temperature ${temperature}, ${ms} ms`,
        of(8, temperature, ms).tokensASecond / of(1, temperature, ms).tokensASecond,
      ]),
    ]),
  );
}
