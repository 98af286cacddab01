/**
 * Where each message is among the tokens of a rendered chat. A template may trim a message, cut it
 * or put another one before it. The rendered text still knows who wrote each of its characters
 * (jinja/text.ts), so nothing has to be guessed from how the text looks.
 */
import type { Writer } from './jinja/text.ts';
import type { BundleTokenizer } from './tokenizer.ts';

/** A part of a rendered chat: a control token's id, or text by one writer. */
export type Piece = number | { text: string; writer: Writer };

/** The tokens from one to before another that hold a message's text, the template's between it. */
export type MessageSpan = {
  /**
   * Which of the messages; null for text of which nobody can say from which it is. An expert's own
   * prompt counts as one more, after the last.
   */
  message: number | null;
  from: number;
  to: number;
  /** How many characters of the message there are, in UTF-16 units. */
  characters: number;
};

/** @param ids what `pieces` were encoded as */
export function messageSpans(
  pieces: readonly Piece[],
  ids: readonly number[],
  tokenizer: Pick<BundleTokenizer, 'asWritten' | 'bytesOf' | 'isControl'>,
): MessageSpan[] {
  const spans = new Map<number | null, MessageSpan>();
  const note = (message: number | null, { from, to }: { from: number; to: number }, characters: number) => {
    if (from >= to) return;
    const known = spans.get(message);
    if (known === undefined) spans.set(message, { message, from, to, characters });
    else {
      known.from = Math.min(known.from, from);
      known.to = Math.max(known.to, to);
      known.characters += characters;
    }
  };
  let at = 0;
  let run: Exclude<Piece, number>[] = [];
  /** Text between two control tokens: no token reaches beyond it. */
  const endRun = () => {
    let end = at;
    while (end < ids.length && !tokenizer.isControl(ids[end]!)) end++;
    for (const { piece, from, to } of placesOf(run, ids.slice(at, end), tokenizer)) {
      const { writer, text } = piece;
      if (writer === 'template') continue;
      note(writer === 'unknown' ? null : writer, { from: at + from, to: at + to }, text.length);
    }
    at = end;
    run = [];
  };
  for (const piece of pieces) {
    if (typeof piece !== 'number') {
      run.push(piece);
      continue;
    }
    endRun();
    at++;
  }
  endRun();
  return [...spans.values()].sort((a, b) => a.from - b.from);
}

/**
 * Where each piece of a run is among the run's tokens: from the token with its first byte to the
 * one with its last. A token with bytes of two pieces belongs to both.
 *
 * The tokens, one after the other, have the bytes of the text. So the bytes before a piece say
 * with which token it begins. Some tokenizers put a space before the text: that is one byte more,
 * and belongs to no piece. If the numbers differ in any other way, the tokenizer has changed the
 * text, and nobody can say which token holds what. Then each piece gets all tokens of the run: a
 * look may read too much, but never too little.
 */
function placesOf(
  run: readonly Exclude<Piece, number>[],
  ids: readonly number[],
  tokenizer: Pick<BundleTokenizer, 'asWritten' | 'bytesOf'>,
): { piece: Exclude<Piece, number>; from: number; to: number }[] {
  const bytes = run.map(({ text }) => Buffer.byteLength(tokenizer.asWritten(text)));
  // How many bytes there are up to the end of each token.
  const ends: number[] = [];
  for (const id of ids) ends.push((ends.at(-1) ?? 0) + (tokenizer.bytesOf(id)?.byteLength ?? 0));
  const extra = (ends.at(-1) ?? 0) - bytes.reduce((sum, count) => sum + count, 0);
  if (extra !== 0 && extra !== 1) return run.map((piece) => ({ piece, from: 0, to: ids.length }));
  let [begins, token] = [extra, 0];
  return run.map((piece, i) => {
    const stops = begins + bytes[i]!;
    while (token < ids.length && ends[token]! <= begins) token++;
    const from = token;
    while (token < ids.length && ends[token]! < stops) token++;
    const isEmpty = stops === begins;
    begins = stops;
    return { piece, from, to: isEmpty ? from : token + 1 };
  });
}
