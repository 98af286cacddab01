/**
 * Which backend a conversation goes to, so that it finds what a backend has kept of its beginning.
 *
 * The key is what a conversation has in common with others: its system messages, or else its first
 * turn. It stays the same while the conversation goes on. So a system prompt is read on one backend
 * and not on all, and a conversation's next turn finds the one before. The order of backends is a
 * rendezvous hash of that key.
 *
 * Before that, distance counts (latency-class.ts): a near backend comes before a farther one. A
 * backend that is known to be full comes after all others, and there distance does not count.
 * Waiting for a place takes as long as an answer, and the longest way around the world a third of a
 * second.
 *
 * One popular system prompt must not crowd one backend while others idle. So no backend gets more
 * than a quarter above its share of the requests under way: consistent hashing with bounded loads
 * (Mirrokni, Thorup and Zadimoghaddam, arXiv 1608.01350). What is above goes to the less loaded of
 * the next two in the key's own order. Two choices are nearly as good as a look at all of them
 * (Mitzenmacher, 2001), and all requests of one key still find few backends.
 */
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
import type { Region } from '#shared/protocol/regions.ts';
import { type LatencyClass, latencyClass } from './latency-class.ts';
import { rankByRendezvous } from './rendezvous-hash.ts';

/** How much of its even share of the requests a backend may have. */
const MOST_SHARE = 1.25;

/** The requests that this isolate has under way, by backend. Other isolates have their own. */
export type Load = {
  of(url: string): number;
  /** Returns a function to be called at the request's end. Calling it again does nothing. */
  begin(url: string): () => void;
};

export function createLoad(): Load {
  const counts = new Map<string, number>();
  const of = (url: string) => counts.get(url) ?? 0;
  return {
    of,
    begin(url) {
      counts.set(url, of(url) + 1);
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        counts.set(url, of(url) - 1);
      };
    },
  };
}

/** What a backend last said of itself. */
export type ReportedLoad = {
  /** Requests that it had, running or waiting. */
  requests: number;
  /** Requests that surely fit into its batch; null if it does not say. */
  capacity: number | null;
  /** How many of this isolate's own requests were under way there then. */
  own: number;
};

export type AffinityNode = { url: string; region?: Region | null; reported?: ReportedLoad | undefined };

/**
 * The requests that a backend has now, as well as we can know: what it last said, which counts the
 * other isolates' requests, and what this isolate has begun and ended there since.
 */
export function estimatedRequests({ url, reported }: AffinityNode, load: Pick<Load, 'of'>): number {
  const own = load.of(url);
  return reported === undefined ? own : Math.max(own, reported.requests + own - reported.own);
}

/** The backends in the order to try them for a conversation. `from` is where this edge is. */
export function orderByAffinity<Node extends AffinityNode>(
  nodes: readonly Node[],
  { messages, load, from = null }: { messages: readonly Message[]; load: Pick<Load, 'of'>; from?: Region | null },
): Node[] {
  const ranked = rankByRendezvous(nodes, { key: affinityKey(messages), nameOf: ({ url }) => url });
  const isFull = (node: Node) => estimatedRequests(node, load) >= (node.reported?.capacity ?? Number.POSITIVE_INFINITY);
  const free = ranked.filter((node) => !isFull(node));
  const atDistance = (distance: LatencyClass) =>
    free.filter(({ region = null }) => latencyClass(from, region) === distance);
  const groups = [atDistance(0), atDistance(1), atDistance(2), ranked.filter(isFull)];
  return groups.flatMap((group) => withinShares(group, load));
}

/** Puts those behind that have more than their share, and the less loaded of two before them. */
function withinShares<Node extends AffinityNode>(ranked: readonly Node[], load: Pick<Load, 'of'>): Node[] {
  const sizes = sizesOf(ranked);
  const allSizes = sum([...sizes.values()]);
  const underWay = sum(ranked.map((node) => estimatedRequests(node, load)));
  const most = (node: Node) => Math.ceil((MOST_SHARE * (underWay + 1) * sizes.get(node)!) / allSizes);
  const hasRoom = (node: Node) => estimatedRequests(node, load) < most(node);
  const free = ranked.filter(hasRoom);
  const busy = ranked.filter((node) => !hasRoom(node));
  const [home] = ranked;
  const [first, second, ...rest] = free;
  if (first === undefined || second === undefined || first === home) return [...free, ...busy];
  const fill = (node: Node) => estimatedRequests(node, load) / sizes.get(node)!;
  const two = fill(second) < fill(first) ? [second, first] : [first, second];
  return [...two, ...rest, ...busy];
}

/** How much each can take, beside the others. One that does not say counts as the mean. */
function sizesOf<Node extends AffinityNode>(nodes: readonly Node[]): Map<Node, number> {
  const known = nodes.flatMap(({ reported }) => reported?.capacity ?? []);
  const mean = known.length === 0 ? 1 : sum(known) / known.length;
  return new Map(nodes.map((node) => [node, node.reported?.capacity ?? mean]));
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function affinityKey(messages: readonly Message[]): string {
  // Without a system message, the first turn.
  return JSON.stringify(messages.slice(0, leadingSystem(messages) || 1));
}
