/**
 * llama.cpp in a process of its own. It takes questions about one model by IPC, and answers them in
 * order. `test/llama-cpp.ts` starts it and has the types. This file is JavaScript, because the
 * types of node-llama-cpp are not here when the project is checked.
 */
import { getLlama } from 'node-llama-cpp';

let model;
let context;
let embedding;

const OPERATIONS = {
  /**
   * `exact`: keys and values stay f32 (llama.cpp's default is f16), and attention is computed by
   * the plain kernels, not by flash attention.
   */
  async load({ file, contextSize, exact, threads, embeddings = false, tokenizerOnly = false, modelOnly = false }) {
    // Never compiles, and never asks the network for anything.
    const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: threads });
    llama.logLevel = 'error';
    model = await llama.loadModel({ modelPath: file, vocabOnly: tokenizerOnly, ignoreMemorySafetyChecks: true });
    if (tokenizerOnly || modelOnly) return;
    const options = { contextSize, threads, ignoreMemorySafetyChecks: true };
    if (embeddings) {
      embedding = await model.createEmbeddingContext(options);
      return;
    }
    context = await model.createContext({
      ...options,
      ...(exact && { flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' }),
    });
  },

  tokenize({ texts, special }) {
    return texts.map((text) => Array.from(model.tokenize(text, special)));
  },

  /**
   * After the prompt and after each token of its greedy answer: the `top` likeliest ids, likeliest
   * first, with their logits less the largest. One prompt at a time: with twenty sequences at once,
   * node-llama-cpp 3.21.1 gives some prompts other logits than alone.
   */
  async greedy({ prompt, count, top }) {
    const sequence = context.getSequence();
    const steps = [];
    let ids = prompt;
    while (steps.length < count) {
      const options = { temperature: 1, topK: top, topP: 1, minP: 0 };
      const last = [ids.at(-1), { generateNext: { probabilities: true, options } }];
      const outputs = await sequence.controlledEvaluate([...ids.slice(0, -1), last]);
      const likeliest = [...outputs.at(-1).next.probabilities];
      const [[first, most]] = likeliest;
      steps.push(likeliest.map(([id, probability]) => ({ id, logit: Math.log(probability / most) })));
      ids = [first];
    }
    sequence.dispose();
    return steps;
  },

  /** A greedy answer of `count` tokens, as a chat makes it. */
  async answer({ prompt, count }) {
    const sequence = context.getSequence();
    const ids = [];
    for await (const id of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      if (ids.push(id) === count) break;
    }
    sequence.dispose();
    return ids;
  },

  /**
   * Greedy answers to all prompts at once, of `count` tokens each, in one context of a sequence for
   * each. When they began, and when each token of each came, in milliseconds. All sequences take
   * their steps together: left alone, node-llama-cpp begins as soon as the first is ready, with
   * small batches.
   */
  async streams({ prompts, count, contextSize, threads }) {
    const own = await model.createContext({
      ...{ contextSize, threads, sequences: prompts.length, ignoreMemorySafetyChecks: true },
    });
    const answers = prompts.map((prompt) =>
      own.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true }),
    );
    const times = prompts.map(() => []);
    const began = performance.now();
    for (let i = 0; i < count; i++) {
      await Promise.all(answers.map((answer, at) => answer.next().then(() => times[at].push(performance.now()))));
    }
    const memory = process.memoryUsage.rss();
    for (const answer of answers) await answer.return();
    await own.dispose();
    return { began, times, memory };
  },

  /** The last hidden state of each token alone, after the final norm. */
  async embed({ ids }) {
    const vectors = [];
    for (const id of ids) vectors.push(Float64Array.from((await embedding.getEmbeddingFor([id])).vector));
    return vectors;
  },
};

let turn = Promise.resolve();
process.on('message', ({ id, operation, options }) => {
  turn = turn.then(async () => {
    try {
      process.send({ id, result: await OPERATIONS[operation](options) });
    } catch (error) {
      process.send({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
});
// Whoever started this is gone. An orderly exit would first wait for llama.cpp's threads.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
