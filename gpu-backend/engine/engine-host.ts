/**
 * The engine's own side of a port. It takes requests, runs rounds while there is work, and sends
 * one or two `news` messages per round, however many requests there are. The event loop turns once
 * between two rounds, so messages that arrived in the meantime are handled.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import type { Probe } from '../model/probe.ts';
import type { Proposal } from './ask-gate.ts';
import { type Terms, termsOf } from './check-request.ts';
import type { DraftPlanner } from './draft-planner.ts';
import type { EngineInfo, EngineLimits } from './engine.ts';
import { type FromEngine, type Outcome, type Port, type ToEngine, toPlainError } from './engine-messages.ts';
import type { Experts } from './experts.ts';
import type { Warn } from './job.ts';
import type { HalfOf } from './row-teller.ts';
import { Scheduler } from './scheduler.ts';
import type { MaskOf } from './token-mask.ts';

export type HostOptions = {
  experts: Experts;
  vocabulary: Vocabulary;
  /** The facts that the experts do not report themselves. */
  info: Omit<EngineInfo, keyof Omit<Terms, 'contextLength'>>;
  proposal: Proposal;
  /** Looks at prompts a second time, where a request asks for it. */
  probe?: Probe | null;
  limits: EngineLimits;
  /** An expert's half of the logits router; see `RowTeller`. */
  halfOf?: HalfOf | undefined;
  /** Makes each answer's mask, on this side of the port; `createMaskOf` if left out. */
  maskOf?: MaskOf;
  /** Decides how much is read ahead; by the times of the runs so far if left out. */
  drafts?: DraftPlanner | undefined;
  /** Writes to the log of whoever runs the engine. */
  warn?: Warn;
};

/** Serves `port` until told to close. Then it disposes of the experts and calls `onClosed`. */
export function hostEngine(
  port: Port,
  { experts, vocabulary, info, proposal, probe = null, limits, halfOf, maskOf, drafts, warn = () => {} }: HostOptions,
  onClosed: () => void,
) {
  let news: Outcome[] = [];
  let working = false;
  let closing = false;

  const scheduler = new Scheduler(experts, {
    vocabulary,
    proposal,
    probe,
    contextLength: info.contextLength,
    limits,
    ...(halfOf && { halfOf }),
    ...(maskOf && { maskOf }),
    ...(drafts && { drafts }),
    warn,
    onJoined: () => report(),
    emit: (id, outcome) =>
      news.push('error' in outcome ? { id, error: toPlainError(outcome.error) } : { id, events: outcome.events }),
  });
  const post = (message: FromEngine) => port.postMessage(message);
  const report = () => {
    const { waiting: _waiting, ...stats } = scheduler.stats;
    post({ type: 'news', outcomes: news, queue: scheduler.queue, stats });
    news = [];
  };

  const work = async () => {
    if (working) return;
    working = true;
    while (!closing && (await scheduler.round())) {
      report();
      await nextTurn();
    }
    if (closing) {
      await experts.dispose();
      onClosed();
    } else {
      working = false;
      report();
    }
  };

  port.on('message', (message: ToEngine) => {
    switch (message.type) {
      case 'submit':
        scheduler.submit(message.id, message.request);
        report();
        break;
      case 'take':
        scheduler.take(message.id, message.taken);
        break;
      case 'cancel':
        scheduler.cancel(message.id);
        break;
      case 'close':
        closing = true;
        break;
      default:
        message satisfies never;
    }
    void work();
  });
  post({ type: 'ready', info: { ...info, ...termsOf(experts, { ...info, proposal, probe, limits }) } });
}
