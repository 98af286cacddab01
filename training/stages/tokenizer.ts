/** Stage `tokenizer`: learns a byte-level BPE vocabulary on the base corpus. */

import { writeChatFiles } from '../tokenizer/chat-files.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';
import type { BaseCorpus } from './base-corpus.ts';

export async function tokenizerStage({
  corpus,
  out,
  vocabSize,
}: {
  corpus: BaseCorpus;
  out: string;
  vocabSize: number;
}) {
  const texts = corpus.dialogues.flatMap(({ messages }) => messages.map((message) => message.content));
  writeChatFiles(out, trainBpe(texts, { vocabSize }));
  return { texts: texts.length };
}
