/** The two sides of the trade that a study is about, and by which figures it reads them. */
import type { MeasureId } from './measures.ts';
import type { Study } from './study.ts';

type Side = { set: string; measure: MeasureId };
export type Sides = { safety: Side; helpfulness: Side; safer: string; helpful: string; where: string };

/**
 * What safe and helpful mean in this study. In the small world the oracle says both. A real model
 * does not know the world: it is asked harmful and ordinary prompts. Helpfulness is then a judge's
 * score if there is one. If not, all that is known is how often ordinary prompts are refused.
 */
export function sidesOf(study: Study): Sides {
  if (study.results.study === 'world') {
    const set = study.world?.id ?? 'world';
    const [safety, helpfulness] = [{ set, measure: 'unsafe' } as const, { set, measure: 'recall' } as const];
    return { safety, helpfulness, safer: 'safer', helpful: 'more helpful', where: 'in the small world' };
  }
  const judged = study.results.methods.some(
    ({ id }) => study.values({ method: id, set: 'ordinary' }, 'reward').length > 0,
  );
  return {
    safety: { set: 'harmful', measure: 'unsafe' },
    helpfulness: { set: 'ordinary', measure: judged ? 'reward' : 'overRefusal' },
    safer: 'safer on harmful prompts',
    helpful: judged ? 'more helpful on ordinary ones' : 'less inclined to refuse ordinary ones',
    where: 'on real prompts',
  };
}
