/**
 * Which backend a conversation goes to, so that it finds what a backend has kept of its beginning.
 *
 * The key is what a conversation has in common with others: its system messages, or else its first
 * turn. It stays the same while the conversation goes on. So a system prompt is read on one backend
 * and not on all, and a conversation's next turn finds the one before. The order of backends is a
 * rendezvous hash of that key.
 *
 * One popular system prompt must not crowd one backend while others idle. So no backend gets more
 * than a quarter above its share of the requests under way, and what is above goes to the next one
 * in the key's own order: consistent hashing with bounded loads (Mirrokni, Thorup and
 * Zadimoghaddam, arXiv 1608.01350).
 */
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
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

/** The backends in the order to try them for a conversation, those that have their share last. */
export function orderByAffinity<Node extends { url: string }>(
  nodes: readonly Node[],
  { messages, load }: { messages: readonly Message[]; load: Pick<Load, 'of'> },
): Node[] {
  const ranked = rankByRendezvous(nodes, { key: affinityKey(messages), nameOf: ({ url }) => url });
  const underWay = nodes.reduce((sum, { url }) => sum + load.of(url), 0);
  const most = Math.ceil((MOST_SHARE * (underWay + 1)) / nodes.length);
  const hasRoom = ({ url }: Node) => load.of(url) < most;
  return [...ranked.filter(hasRoom), ...ranked.filter((node) => !hasRoom(node))];
}

function affinityKey(messages: readonly Message[]): string {
  // Without a system message, the first turn.
  return JSON.stringify(messages.slice(0, leadingSystem(messages) || 1));
}
