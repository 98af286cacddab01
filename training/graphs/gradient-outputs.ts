/** The gradients of a training graph as its outputs. */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import { cast } from '#gpu-backend/graph/ops.ts';
import { gradients } from '../autodiff/gradients.ts';

/** Whether the input `learning` says if a run computes gradients, or every run does. */
export type GradientOptions = {
  /**
   * The graph gets one more input, `learning`, int64 `[1]`. With 0 a run ends after the forward
   * half, so that one session, with one packed copy of the base, both trains and scores.
   */
  scoresToo?: boolean;
};

/** Adds an output `grad.<name>` for each parameter. Nothing may be added to the graph after it. */
export function gradientOutputs(
  graph: Graph,
  loss: Value,
  { parameters, scoresToo = false }: GradientOptions & { parameters: ReadonlyMap<string, Value> },
): void {
  const build = () => {
    const found = gradients(graph, loss, [...parameters.values()]);
    return new Map([...parameters.keys()].map((name, i) => [`grad.${name}`, found[i]!]));
  };
  if (scoresToo) graph.onlyIf(cast(graph.input('learning', 'int64', [1]), 'bool'), build);
  else for (const [name, value] of build()) graph.output(name, value);
}
