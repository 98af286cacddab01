/**
 * How many nodes of each kind a load needs. All of it is one law: a node is busy for the time that
 * its work takes, and is planned to be busy for seven tenths of the time.
 */
import { BUSY, type EngineModel, PROMPT_TOKEN_MS, REQUEST, STEP_MS } from './assumptions.ts';
import type { MeasuredParts } from './measured-parts.ts';

/** Milliseconds of a step with this many questions. */
export const stepMs = ({ readMs, questionMs }: EngineModel, questions: number) => readMs + questions * questionMs;

/** How many questions a step has when the engine is as full as it is planned to be. */
export function questionsPerStep(engine: EngineModel): number {
  return Math.min(engine.most, Math.floor((STEP_MS - engine.readMs) / engine.questionMs));
}

/** What each kind of node works for one average request, in milliseconds of one node's time. */
export type Work = { edge: number; gateNode: number; http: number; gpu: number };

/** What one average request takes of each kind, with experts on this engine. */
export function workOfRequest(parts: MeasuredParts, engine: EngineModel): Work {
  const { promptTokens, answerTokens } = REQUEST;
  const questions = engine.questionsPerToken * answerTokens;
  const full = questionsPerStep(engine);
  return {
    edge: parts.edgeMs.fixed + answerTokens * parts.edgeMs.perToken,
    gateNode: answerTokens * gateMs(parts),
    http: questions * engine.httpMs,
    // Both experts read the prompt, because an adapter has a prefix cache of its own.
    gpu: (questions * stepMs(engine, full)) / full + 2 * promptTokens * PROMPT_TOKEN_MS,
  };
}

/** A gate node's CPU for one token, in the middle of an average answer. */
export function gateMs({ gateNodeMs }: MeasuredParts): number {
  return gateNodeMs.fixed + gateNodeMs.perToken * (REQUEST.promptTokens + REQUEST.answerTokens / 2);
}

/** Nodes of each kind for so many requests a second; at least one of each. */
export function nodesFor(work: Work, requestsPerSecond: number): Work {
  const nodes = (ms: number) => Math.max(1, Math.ceil((requestsPerSecond * ms) / 1000 / BUSY));
  return {
    ...{ edge: nodes(work.edge), gateNode: nodes(work.gateNode), http: nodes(work.http), gpu: nodes(work.gpu) },
  };
}

/** Requests a second that one node of each kind can take if it is never idle. */
export function capacities(work: Work): Work {
  const most = (ms: number) => 1000 / ms;
  return { edge: most(work.edge), gateNode: most(work.gateNode), http: most(work.http), gpu: most(work.gpu) };
}

/** The kind of node that is full first, with one of each. */
export function bottleneck(work: Work): keyof Work {
  const [first] = Object.entries(work).toSorted(([, a], [, b]) => b - a);
  // The keys of Work are those of its object.
  return first![0] as keyof Work;
}

/** Megabytes a second between a gate node and engines, both ways, for so many requests a second. */
export function trafficOf({ questionBytes, answerBytes }: MeasuredParts, requestsPerSecond: number): number {
  const tokens = REQUEST.promptTokens + REQUEST.answerTokens / 2;
  const question = questionBytes.fixed + questionBytes.perToken * tokens;
  return (requestsPerSecond * REQUEST.answerTokens * 2 * (question + answerBytes)) / 1e6;
}

/** Several positions a round trip: `asked` are guessed and scored, `accepted` are drawn. */
type Positions = { asked: number; accepted: number };

/**
 * What a token takes when nobody else is there. One position: both experts are asked at once. Of
 * several, one expert guesses, in as many steps one after another, and then the other one scores.
 *
 *     ms = (round trips * (round trip + http) + steps * step + gate) / accepted
 */
export function idleTokenMs(
  engine: EngineModel,
  { asked, accepted }: Positions,
  { gate, roundTrip }: { gate: number; roundTrip: number },
): { ms: number; stepsAToken: number; rowsAToken: number } {
  const several = asked > 1;
  const steps = several ? asked * stepMs(engine, 1) + stepMs(engine, asked) : stepMs(engine, 2);
  const trips = (several ? 2 : 1) * (roundTrip + engine.httpMs);
  return {
    ms: (trips + steps + gate) / accepted,
    stepsAToken: (several ? asked + 1 : 1) / accepted,
    rowsAToken: (2 * asked) / accepted,
  };
}
