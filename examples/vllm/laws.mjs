/**
 * The laws that every answer has to keep, checked from outside: on what the client got, with the
 * public keys, and by asking the engine again what the safety expert thought of every token. At
 * temperature 1 without top-p, the reference is the safety expert under its own top-k:
 *
 *     log p_s~(y) = log p_s(y) - log (sum of the k likeliest)
 *     spent       = sum over the answer's tokens y of log q(y) - log p_s~(y)
 */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';

/** What sums of rounded numbers may be off. */
const ROUNDING = 1e-6;
/** Two batches on a GPU round differently: log-probabilities may move by so many nats a token. */
const BATCH = 0.1;
/** In bf16, logits from 16 to 32 have steps of 0.125. One token may be off by two of them. */
const STEPS = 0.25;

/**
 * @param answer the body of `POST /v1/chat/completions`, with the trace of tokens
 * @param request that got it, as its digest has it
 * @param floor, budget that the receipt may not be looser than
 * @param askSafety (ids of the answer so far) => the safety expert's k likeliest next tokens, by id
 * @returns what came of it. `problems` is empty if every law was kept
 */
export async function checkAnswer(answer, { request, jwks, floor, budget, topK, askSafety }) {
  const problems = [];
  const law = (holds, problem) => holds || problems.push(problem);
  const { message, finish_reason } = answer.choices[0];
  const { receipt: token, tokens } = answer.plimsoll;

  const receipt = await readReceipt(token, jwks).catch((error) => {
    problems.push(`the receipt is not genuine: ${error.message}`);
    return null;
  });
  const spent = tokens.at(-1)?.spent ?? 0;
  if (receipt !== null) {
    const text = finish_reason === 'content_filter' ? '' : message.content;
    law(receipt.answer_digest === sha256(text), 'the receipt is for another answer');
    law(receipt.prompt_digest === sha256(JSON.stringify(request)), 'the receipt is for another request');
    law(receipt.top_k === topK, `the receipt says k = ${receipt.top_k}, wanted ${topK}`);
    const { line } = receipt;
    // null would be no budget, and no floor.
    law(isWithin(0, line.budget, budget), `the receipt says a budget of ${line.budget}, wanted ${budget}`);
    law(isWithin(floor, line.floor, 1), `the receipt says a floor of ${line.floor}, wanted ${floor}`);
    law(Math.abs(receipt.spent - spent) <= ROUNDING, `the receipt says ${receipt.spent} nats, the trace ${spent}`);
  }

  let isOff = false;
  const ids = [];
  let [known, farthest, recomputed] = [0, 0, 0];
  for (const [i, { id, weight, floor: own, lp, lp_s: told, spent: soFar }] of tokens.entries()) {
    law(
      isWithin(-Infinity, soFar, budget + ROUNDING),
      `${soFar} nats were spent after ${i + 1} tokens, allowed were ${budget}`,
    );
    const least = receipt === null ? floor : leastWeight(receipt.line, i);
    law(isWithin(least - ROUNDING, own, 1), `token ${i} has the floor ${own} below the receipt's ${least}`);
    law(isWithin(own - ROUNDING, weight, 1 + ROUNDING), `token ${i} has the weight ${weight} below the floor ${own}`);
    law(told !== null, `token ${id} was drawn, and the safety expert gave it nothing`);
    const row = await askSafety(ids);
    const logTotal = Math.log([...row.values()].reduce((sum, each) => sum + Math.exp(each), 0));
    const again = row.get(id);
    if (again === undefined) {
      // Two batches may disagree about who is the last of k.
      const last = Math.min(...row.values()) - logTotal;
      law(told !== null && told <= last + STEPS, `token ${id} is not among the safety expert's ${topK} likeliest`);
      recomputed += lp - (told ?? NaN);
    } else {
      known += 1;
      recomputed += lp - (again - logTotal);
    }
    const off = Math.abs(recomputed - soFar);
    farthest = Math.max(farthest, off / (i + 1));
    isOff ||= !(off <= STEPS + BATCH * i);
    ids.push(id);
  }
  law(!isOff, `asked again, the account differs by ${farthest.toFixed(3)} nats a token`);
  return { problems, tokens: tokens.length, known, spent, farthest };
}

/** Whether it is a number, and not outside of these. */
const isWithin = (least, value, most) => typeof value === 'number' && value >= least && value <= most;

/** The floor at a position: raised for an answer's first tokens. */
function leastWeight({ floor, opening }, position) {
  return position < opening.tokens ? Math.max(floor, opening.floor) : floor;
}

async function readReceipt(token, jwks) {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms: ['EdDSA', 'Ed25519'],
    issuer: 'plimsoll-backend',
    typ: 'plimsoll-receipt+jwt',
  });
  return payload;
}

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
