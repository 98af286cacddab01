/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998): every node gets a score for a key, and the
 * highest score wins. If a node leaves, only its own keys move.
 */

/** The nodes, best first. */
export function rankByRendezvous<Node>(
  nodes: readonly Node[],
  { key, nameOf }: { key: string; nameOf: (node: Node) => string },
): Node[] {
  return nodes
    .map((node) => ({ node, name: nameOf(node), score: hash32(`${nameOf(node)}\n${key}`) }))
    .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
    .map(({ node }) => node);
}

/**
 * FNV-1a, then the finaliser of murmur3, because FNV alone spreads a difference in the last
 * characters poorly.
 */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
