/** One backend, as the edge knows it from its `/healthz` or from its heartbeats. */
import type { Sampling } from '#shared/api/sampling.ts';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import type { Mode } from '#shared/line/line.ts';
import type { Role } from '#shared/protocol/expert-directive.ts';
import type { ServedModel, ToldLoad } from '#shared/protocol/pool-report.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import type { AffinityNode } from './affinity.ts';

export type PoolMember = AffinityNode & {
  alive: boolean;
  /** Whether it takes nothing new: it says so itself, or the operator has drained it. */
  draining?: boolean;
  /** As last heard; null if the backend never answered. */
  model: string | null;
  contextLength: number;
  maxTokenBytes: number;
  bundle: string | null;
  /** The public id of its draw secret; null if unknown. */
  draws?: string | null;
  /** Unix seconds; null if unknown. */
  created: number | null;
  modes: readonly Mode[];
  /** The experts whose rows it gives to an edge that mixes them. */
  serves: readonly Role[];
  /** The version of its probe; null if it cannot look at prompts a second time. */
  secondLook: string | null;
  /** Whether its bundle has reward and cost heads. */
  scores?: boolean;
  /** In which its model writes calls of tools; null or left out if it takes none. */
  toolSyntax?: ToolSyntax | null;
  sampling: Sampling;
  /** How busy it said it was, and when. It decides nothing: the operator looks at it. */
  told?: (ToldLoad & { atMs: number }) | undefined;
};

/** What it says about its model, in our names. */
export function servedBy(served: ServedModel) {
  const { model, context_length, max_token_bytes, bundle = null, draws = null, created = null } = served;
  const { modes, serves, second_look: secondLook, scores, sampling, tool_syntax: toolSyntax } = served;
  return {
    model,
    contextLength: context_length,
    maxTokenBytes: max_token_bytes,
    ...{ bundle, draws, created, modes, serves, secondLook, scores, sampling, toolSyntax },
  };
}

/**
 * What counts of a member of the helpfulness pool. That pool may be other people's, so whatever it
 * says, it gives rows of its expert and nothing else.
 */
export function inHelpfulnessPool(member: PoolMember): PoolMember {
  return {
    ...member,
    modes: member.modes.filter((mode) => mode === 'edge'),
    serves: member.serves.filter((role) => role === 'helpfulness'),
    draws: null,
    secondLook: null,
    scores: false,
  };
}

/**
 * Whether it gives rows of the helpfulness expert at the most. Then it is of that expert's pool,
 * and what it says about its model counts for those rows alone.
 */
export function isOnlyHelpful({ serves, modes }: Pick<PoolMember, 'serves' | 'modes'>): boolean {
  return !serves.includes('safety') && modes.every((mode) => mode === 'edge');
}

/** Whether it is well, and an answer can begin there. With the helpfulness pool alone, none can. */
export function answers(member: PoolMember): boolean {
  return member.alive && !isOnlyHelpful(member);
}

/** A backend that has not answered yet. */
export function unheard(url: string): PoolMember {
  return {
    url,
    alive: false,
    model: null,
    contextLength: 0,
    maxTokenBytes: 1,
    bundle: null,
    created: null,
    modes: [],
    serves: [],
    secondLook: null,
    sampling: PLAIN_SAMPLING,
  };
}
