/**
 * One engine with its share of gate nodes, simulated token by token. Requests are spread at random,
 * so a part of a Poisson stream comes to each engine, and a large deployment is many such cells.
 *
 *     answer ── gate node ──┬── HTTP ── step of the engine ── HTTP ──┬── gate node ── next token
 *                           └── HTTP ── step of the engine ── HTTP ──┘
 *
 * With the gate inside the engine, an answer's two rows stay in the batch, so its next token is in
 * the next step, and HTTP only carries the token away.
 */
import { createRandom } from '#training/data/random.ts';
import { type EngineModel, PROMPT_TOKEN_MS, REQUEST, ROUND_TRIP_MS, STEP_MS } from './assumptions.ts';
import { Batcher, Cores, Simulation } from './simulation.ts';

type Cell = {
  engine: EngineModel;
  /** Milliseconds of a gate node's CPU for one token; null: there is no gate node. */
  gateMs: number | null;
  gateNodes: number;
  /** Processes that speak HTTP before one engine. */
  httpProcesses: number;
  requestsPerSecond: number;
};

type CellResult = {
  /** Milliseconds of each token after an answer's first, ascending. */
  tokenMs: number[];
  /** Tokens drawn in that time, an answer's first included. */
  tokens: number;
  longestStepMs: number;
  /** The share of the time that each kind of node was busy. */
  busy: { gateNode: number; http: number; gpu: number };
};

/** @param seconds simulated after a fifth of it, in which the cell fills */
export function simulateCell(cell: Cell, { seconds, seed }: { seconds: number; seed: string }): CellResult {
  const { engine, gateMs, gateNodes, httpProcesses, requestsPerSecond } = cell;
  const random = createRandom(seed);
  const simulation = new Simulation();
  const gates = Array.from({ length: gateNodes }, () => new Cores(simulation, 1));
  const http = new Cores(simulation, httpProcesses);
  const gpu = new Batcher(simulation, { readMs: engine.readMs, mostSequences: engine.most, mostMs: STEP_MS });
  const [warmMs, endMs] = [200 * seconds, 1200 * seconds];
  const tokenMs: number[] = [];
  let tokens = 0;
  const drawn = (index: number, began: number) => {
    if (simulation.now < warmMs) return;
    tokens++;
    if (index > 0 && began >= warmMs) tokenMs.push(simulation.now - began);
  };

  /** One row for each of so many experts; before an answer's first token, its prompt too. */
  const jobOf = (index: number, sequences: number) => ({
    sequences,
    ms: sequences * (engine.questionMs + (index === 0 ? REQUEST.promptTokens * PROMPT_TOKEN_MS : 0)),
    isPrompt: index === 0,
  });

  const throughNode = (gate: Cores, nodeMs: number) => {
    const token = (index: number) => {
      if (index === REQUEST.answerTokens) return;
      const began = simulation.now;
      let left = 2;
      const told = () => {
        if (--left > 0) return;
        simulation.after(ROUND_TRIP_MS / 2, () => {
          drawn(index, began);
          token(index + 1);
        });
      };
      const ask = () =>
        http.serve(engine.httpMs / 2, () => gpu.serve(jobOf(index, 1), () => http.serve(engine.httpMs / 2, told)));
      gate.serve(nodeMs, () =>
        simulation.after(ROUND_TRIP_MS / 2, () => {
          for (let expert = 0; expert < 2; expert++) ask();
        }),
      );
    };
    token(0);
  };
  const insideEngine = (index: number) => {
    if (index === REQUEST.answerTokens) return;
    const began = simulation.now;
    gpu.serve(jobOf(index, 2), () => {
      http.serve(2 * engine.httpMs, () => drawn(index, began));
      insideEngine(index + 1);
    });
  };
  const answer = () => {
    if (gateMs === null) insideEngine(0);
    else throughNode(gates[random.int(0, gateNodes - 1)]!, gateMs);
  };
  const arrive = () => {
    answer();
    simulation.after((-Math.log(1 - random.next()) * 1000) / requestsPerSecond, arrive);
  };
  arrive();

  simulation.runUntil(warmMs);
  const busyMs = () => [gates.reduce((sum, one) => sum + one.busyMs, 0), http.busyMs, gpu.busyMs] as const;
  const before = busyMs();
  simulation.runUntil(endMs);
  const [gate, https, gpus] = busyMs().map((ms, i) => (ms - before[i]!) / (endMs - warmMs)) as [number, number, number];
  return {
    tokenMs: tokenMs.sort((a, b) => a - b),
    tokens,
    longestStepMs: gpu.longestMs,
    busy: { gateNode: gate / gateNodes, http: https / httpProcesses, gpu: gpus },
  };
}
