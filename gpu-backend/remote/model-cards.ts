/**
 * `GET /v1/models` of vLLM and SGLang: an adapter's card names the model that it is put on as its
 * `parent`, and the card of that model has null there. SGLang lists adapters, and has that field,
 * since sgl-project/sglang#12229.
 */
import * as z from 'zod';

const Cards = z.object({ data: z.array(z.object({ id: z.string(), parent: z.string().nullish() })) });

/**
 * How many adapters an answer under this name has: 0 or 1; null if the list does not tell.
 *
 * @param model null for the bare model
 */
export function adaptersOf(answer: unknown, { model }: { model: string | null }): number | null {
  if (model === null) return 0;
  const { data } = Cards.parse(answer);
  const card = data.find(({ id }) => id === model);
  if (card === undefined) return data.some(({ parent }) => parent !== undefined) ? 0 : null;
  return card.parent === undefined ? null : Number(card.parent !== null);
}
