import type { SHAPES } from '../../../plots/theme.ts';
import type { MethodInfo } from '../../results/results.ts';

/** Families differ by shape too, for those who see no colours. */
export const FAMILIES: Record<MethodInfo['family'], { label: string; color: string; shape: (typeof SHAPES)[number] }> =
  {
    reference: { label: 'reference', color: '#555555', shape: 'cross' },
    single: { label: 'one policy', color: '#0072b2', shape: 'square' },
    soup: { label: 'weight soup', color: '#b87c00', shape: 'triangle-up' },
    mod: { label: 'static mixing (MOD)', color: '#009e73', shape: 'triangle-down' },
    midpo: { label: 'MidPO (layers)', color: '#d55e00', shape: 'diamond' },
    decoder: { label: 'another decoder', color: '#3c7fb1', shape: 'cross' },
    served: { label: 'as served', color: '#000000', shape: 'circle' },
    'logits-router': { label: 'logits router', color: '#a8508a', shape: 'circle' },
  };
