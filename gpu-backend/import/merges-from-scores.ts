/**
 * SentencePiece's BPE has no list of merges. It joins the two neighbours whose union has the best
 * score. A list says the same if it holds every pair of tokens that makes a token, best first.
 * Transformers' converter does the same (`generate_merges` in convert_slow_tokenizer.py).
 */
export function mergesFromScores(vocab: ReadonlyMap<string, number>, scores: readonly number[]): string[] {
  type Merge = { left: string; right: string; score: number };
  const merges: Merge[] = [];
  for (const [token, id] of vocab) {
    const characters = [...token];
    const own: Merge[] = [];
    for (let at = 1; at < characters.length; at++) {
      const [left, right] = [characters.slice(0, at).join(''), characters.slice(at).join('')];
      if (vocab.has(left) && vocab.has(right)) own.push({ left, right, score: scores[id] ?? 0 });
    }
    own.sort((a, b) => vocab.get(a.left)! - vocab.get(b.left)! || vocab.get(a.right)! - vocab.get(b.right)!);
    // One by one: `push(...own)` has a limit.
    for (const merge of own) merges.push(merge);
  }
  // Sorting is stable, so equals stay in the order of the vocabulary.
  merges.sort((a, b) => b.score - a.score);
  return merges.map(({ left, right }) => `${left} ${right}`);
}
