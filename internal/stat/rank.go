package stat

import (
	"cmp"
	"math"
	"slices"
)

// descending gives the rows by score, highest first.
func descending(p []float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	return order
}

// ROCAUC is the area under the ROC curve: the probability that a row of class
// 1 scores above a row of class 0, ties counting one half (Mann-Whitney U over
// the number of pairs). It is NaN when only one class is there.
func ROCAUC(s Scored) float64 {
	order := descending(s.P)
	var above, area, positives, negatives float64
	for i := 0; i < len(order); {
		var pos, neg float64
		p := s.P[order[i]]
		for ; i < len(order) && s.P[order[i]] == p; i++ {
			w := s.weight(order[i])
			pos += w * s.Y[order[i]]
			neg += w * (1 - s.Y[order[i]])
		}
		area += neg * (above + pos/2)
		above += pos
		positives, negatives = positives+pos, negatives+neg
	}
	if positives == 0 || negatives == 0 {
		return math.NaN()
	}
	return area / (positives * negatives)
}

// rocAUCByBlock counts, for every pair of blocks, the pairs of a positive in
// one and a negative in the other that are ranked rightly. AUC with blocks
// counted any number of times is then a ratio of two quadratic forms, which
// needs no row.
func rocAUCByBlock(s Scored, group []int, groups int) evaluator {
	order := descending(s.P)
	right := make([]float64, groups*groups) // [block of the negative][block of the positive]
	above, tied := make([]float64, groups), make([]float64, groups)
	positives, negatives := make([]float64, groups), make([]float64, groups)
	for i := 0; i < len(order); {
		p, first := s.P[order[i]], i
		clear(tied)
		for ; i < len(order) && s.P[order[i]] == p; i++ {
			if s.Y[order[i]] == 1 {
				tied[group[order[i]]] += s.weight(order[i])
			}
		}
		for _, r := range order[first:i] {
			if s.Y[r] == 1 {
				continue
			}
			w, row := s.weight(r), right[group[r]*groups:(group[r]+1)*groups]
			negatives[group[r]] += w
			if i-first == 1 {
				for g, a := range above {
					row[g] += w * a
				}
				continue
			}
			for g, a := range above {
				row[g] += w * (a + tied[g]/2)
			}
		}
		for g, t := range tied {
			above[g] += t
		}
	}
	copy(positives, above)
	return func(mult []float64) float64 {
		var area, pos, neg float64
		for b, k := range mult {
			pos += k * positives[b]
			neg += k * negatives[b]
			if k == 0 {
				continue
			}
			var row float64
			for a, v := range right[b*groups : (b+1)*groups] {
				row += mult[a] * v
			}
			area += k * row
		}
		if pos <= 0 || neg <= 0 {
			return math.NaN()
		}
		return area / (pos * neg)
	}
}

// AveragePrecision is Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores, highest
// first, without interpolation. As in scikit-learn it is 0 without a positive.
func AveragePrecision(s Scored) float64 {
	return averagePrecision(s, descending(s.P), s.weight)
}

func averagePrecision(s Scored, order []int, weight func(i int) float64) float64 {
	var hit, seen, area float64
	for i := 0; i < len(order); {
		p, before := s.P[order[i]], hit
		for ; i < len(order) && s.P[order[i]] == p; i++ {
			w := weight(order[i])
			hit += w * s.Y[order[i]]
			seen += w
		}
		if hit > before {
			area += (hit - before) * hit / seen
		}
	}
	if hit == 0 {
		return 0
	}
	return area / hit
}

func averagePrecisionByBlock(s Scored, group []int, _ int) evaluator {
	order := descending(s.P)
	return func(mult []float64) float64 {
		return averagePrecision(s, order, func(i int) float64 { return mult[group[i]] * s.weight(i) })
	}
}

// ROCAUCOvR is the mean over classes of the AUC of the class against the rest
// (roc_auc_score with multi_class="ovr", average="macro"). It is NaN when a
// class has no row.
func ROCAUCOvR(s Scored) float64 {
	var total float64
	for k := range s.Classes {
		total += ROCAUC(s.against(k))
	}
	return total / float64(s.Classes)
}

func rocAUCOvRByBlock(s Scored, group []int, groups int) evaluator {
	each := make([]evaluator, s.Classes)
	for k := range each {
		each[k] = rocAUCByBlock(s.against(k), group, groups)
	}
	return func(mult []float64) float64 {
		var total float64
		for _, e := range each {
			total += e(mult)
		}
		return total / float64(len(each))
	}
}
