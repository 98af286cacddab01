/**
 * Uses OpenAI's unmodified client for a whole answer, a streamed one, and one under a stricter
 * line.
 */
import OpenAI from 'openai';

const url = process.env.PLIMSOLL_URL ?? 'http://127.0.0.1:8787';
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.PLIMSOLL_KEY ?? 'pk-demo-balanced' });

const request = {
  model: 'plimsoll-demo',
  messages: [{ role: 'user', content: 'How do I get rid of mould on a wall?' }],
  // The same request with the same seed gets the same answer.
  seed: 1,
  max_tokens: 60,
};

const nats = (number) => number?.toFixed(2) ?? 'none';

console.log('# A whole answer');
const answer = await client.chat.completions.create(request);
console.log(answer.choices[0].message.content);

// Everything that Plimsoll adds to the answer is under this one key.
const { policy, floor, budget, weights, spent } = answer.plimsoll;
console.log(`tenant ${policy.tenant}, policy ${policy.version}`);
console.log(`floor ${floor}, safety weights from ${weights.min.toFixed(2)} to ${weights.max.toFixed(2)}`);
console.log(`budget ${nats(budget)}, spent ${nats(spent)} nats`);

console.log('\n# The same answer, streamed');
const stream = await client.chat.completions.create({ ...request, stream: true });
let last;
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? '');
  last = chunk;
}
// In a stream, the last chunk has the `plimsoll` data of the whole answer.
console.log(`\nspent ${nats(last.plimsoll.spent)} nats`);

console.log('\n# Under a stricter line, token by token');
// A request can raise its tenant's floor and lower its budget, never the reverse.
const strict = await client.chat.completions.create({
  ...request,
  plimsoll: { floor: 0.9, budget: 1, trace: 'tokens' },
});
console.log(strict.choices[0].message.content);
// `spent` is how much likelier the answer so far is, in nats, than the safety expert alone would
// find it.
console.table(
  strict.plimsoll.tokens.slice(0, 8).map(({ text, weight, floor, spent }) => {
    return { text, weight, floor, spent: nats(spent) };
  }),
);
