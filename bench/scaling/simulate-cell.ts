/**
 * One engine with its share of gate nodes, simulated token by token. Requests are spread at random,
 * so a part of a Poisson stream comes to each engine, and a large deployment is many such cells.
 *
 *     answer ── gate node ──┬── HTTP ── step of the engine ── HTTP ──┬── gate node ── next token
 *                           └── HTTP ── step of the engine ── HTTP ──┘
 */
import { createRandom } from '#training/data/random.ts';
import { type EngineModel, PROMPT_TOKEN_MS, REQUEST, ROUND_TRIP_MS } from './assumptions.ts';
import { stepMs } from './formulae.ts';
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
  const gpu = new Batcher(simulation, { stepMs: (questions) => stepMs(engine, questions), most: engine.most });
  const [warmMs, endMs] = [200 * seconds, 1200 * seconds];
  const tokenMs: number[] = [];

  /** What an engine answers after `questions` of its time: a prompt costs as much as many. */
  const ask = (questions: number, done: () => void) =>
    http.serve(engine.httpMs / 2, () => gpu.serve(questions, () => http.serve(engine.httpMs / 2, done)));

  const answer = () => {
    const gate = gates[random.int(0, gateNodes - 1)]!;
    const throughGate = (done: () => void) => (gateMs === null ? done() : gate.serve(gateMs, done));
    const prompt = Math.ceil((REQUEST.promptTokens * PROMPT_TOKEN_MS) / engine.questionMs);
    const token = (index: number) => {
      if (index === REQUEST.answerTokens) return;
      const began = simulation.now;
      let left = 2;
      const told = () => {
        if (--left > 0) return;
        simulation.after(gateMs === null ? 0 : ROUND_TRIP_MS / 2, () => {
          if (index > 0 && began >= warmMs) tokenMs.push(simulation.now - began);
          token(index + 1);
        });
      };
      throughGate(() =>
        simulation.after(gateMs === null ? 0 : ROUND_TRIP_MS / 2, () => {
          for (let expert = 0; expert < 2; expert++) ask(index === 0 ? prompt : 1, told);
        }),
      );
    };
    token(0);
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
    busy: { gateNode: gate / gateNodes, http: https / httpProcesses, gpu: gpus },
  };
}
