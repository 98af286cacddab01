/**
 * The text of an answer, token by token, and where it ends: at a token that ends answers, at a stop
 * string, or at the most tokens it may have.
 */
import type { FinishReason } from '#shared/api/chat-answer.ts';
import { StopMatcher } from '#shared/text/stop-matcher.ts';
import { TextStream } from '#shared/text/text-stream.ts';
import type { Vocabulary } from './vocabulary.ts';

export type AnswerTextOptions = {
  vocabulary: Pick<Vocabulary, 'bytesOf' | 'eos' | 'dropsFirstSpace'>;
  stop: readonly string[];
  /** At least one. */
  maxTokens: number;
  /** Nothing ends an answer with fewer tokens. */
  minTokens?: number;
  /** Go on after a token that ends answers. */
  ignoresEnd?: boolean;
  /** Whether the answer follows its prompt's text, so that a space at its start counts. */
  followsPrompt?: boolean;
};

export class AnswerText {
  readonly #ends: ReadonlySet<number>;
  readonly #dropsFirstSpace: boolean;
  readonly #maxTokens: number;
  readonly #minTokens: number;
  readonly #text: TextStream;
  readonly #stops: StopMatcher;
  #tokens = 0;
  #saysSomething = false;

  constructor({
    vocabulary,
    stop,
    maxTokens,
    minTokens = 0,
    ignoresEnd = false,
    followsPrompt = false,
  }: AnswerTextOptions) {
    this.#ends = new Set(ignoresEnd ? [] : vocabulary.eos);
    // After the prompt's text, a space at the start is a space between two words.
    this.#dropsFirstSpace = !followsPrompt && (vocabulary.dropsFirstSpace ?? false);
    this.#maxTokens = maxTokens;
    this.#minTokens = minTokens;
    this.#text = new TextStream(vocabulary.bytesOf);
    this.#stops = new StopMatcher(stop);
  }

  /** Whether it has a word yet. */
  get saysSomething(): boolean {
    return this.#saysSomething;
  }

  /** Goes on with this token. Returns the text that is certain now, and how it ends the answer. */
  push(id: number): { text: string; ends: FinishReason | null } {
    this.#tokens++;
    const pushed = this.#text.push(id);
    const completed = this.#dropsFirstSpace && this.#tokens === 1 ? pushed.replace(/^ /, '') : pushed;
    this.#saysSomething ||= isWord(completed);
    const { text, stopped } = this.#stops.push(completed, { mayStop: this.#tokens > this.#minTokens });
    if (stopped || this.#ends.has(id)) return { text, ends: 'stop' };
    return { text, ends: this.#tokens === this.#maxTokens ? 'length' : null };
  }

  /** The text that is still held back for a stop string when the answer ends without it. */
  flush(): string {
    return this.#stops.flush();
  }
}

/** White space and half characters do not count as words. */
const isWord = (text: string) => text.trim() !== '';
