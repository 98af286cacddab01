/**
 * An engine over scripted experts, with bytes as its vocabulary: id 0 ends an answer, ids 1 to 255
 * are that byte.
 */

import type { Mode } from '#shared/line/line.ts';
import type { ExpertKinds } from '#shared/protocol/expert-kind.ts';
import type { Proposal } from '../ask-gate.ts';
import type { Engine, EngineLimits } from '../engine.ts';
import { startLocalEngine } from '../local-engine.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from '../scripted-experts.ts';

export const SCRIPTED_VOCAB = 256;

export const SCRIPTED_EXPERTS: ExpertKinds = { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } };

const FIRST_TURN = { safety: 1, helpfulness: 2, layers: 3 };

/**
 * Logits that depend on the source and on the tokens so far. They are smooth enough for varied
 * samples. Letters are likely, the end is not.
 */
export const babble: Script = (source, ids) => {
  const turn = ids.reduce((hash, id) => (hash * 31 + id) % 9973, FIRST_TURN[source]);
  return Array.from({ length: SCRIPTED_VOCAB }, (_, id) => {
    if (id === 0) return -4;
    const letter = id >= 97 && id < 123 ? 4 : -4;
    return letter + 2 * Math.sin(turn * (id + 1));
  });
};

export function startScriptedEngine({
  script = babble,
  limits = {},
  contextLength = 96,
  proposal = 0.5,
  modes = ['logits', 'layers'],
  ...options
}: {
  script?: Script;
  limits?: Partial<EngineLimits>;
  contextLength?: number;
  proposal?: Proposal;
  modes?: readonly Mode[];
} & Omit<ScriptedOptions, 'vocabSize' | 'layers'> = {}): Promise<Engine> {
  return startLocalEngine({
    experts: new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, layers: modes.includes('layers'), ...options }),
    vocabulary: { eos: [0], banned: [], bytesOf: (id) => (id === 0 ? undefined : Uint8Array.of(id)) },
    info: {
      model: 'scripted',
      contextLength,
      maxTokenBytes: 1,
      digest: '0'.repeat(64),
      experts: SCRIPTED_EXPERTS,
      provider: null,
    },
    proposal,
    limits,
  });
}
