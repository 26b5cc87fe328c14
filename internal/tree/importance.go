package tree

// Importance is how much a feature matters to an ensemble, as the file tells it.
type Importance struct {
	Feature string  `json:"feature"`
	Splits  int     `json:"splits"` // how often a split asks for it
	Gain    float64 `json:"gain"`   // by how much those splits reduced the training loss, summed
}

// Importance lists the features of e in their order. It is LightGBM's
// feature_importance of type "split" and "gain", and XGBoost's get_score of type
// "weight" and "total_gain". LightGBM counts only splits that gained something.
func (e *Ensemble) Importance() []Importance {
	out := make([]Importance, len(e.Features))
	for i, name := range e.Features {
		out[i].Feature = name
	}
	for i := range e.Trees {
		for j := range e.Trees[i].Nodes {
			n := &e.Trees[i].Nodes[j]
			if n.Leaf() || e.Source == "lightgbm" && !(n.Gain > 0) {
				continue
			}
			out[n.Feature].Splits++
			out[n.Feature].Gain += n.Gain
		}
	}
	return out
}
