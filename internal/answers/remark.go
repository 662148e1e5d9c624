package answers

// Remark is a flow in words, as status prints them.
type Remark struct {
	Flow     string `json:"flow"`
	Headline string `json:"headline"`
	Notes    []Note `json:"notes"`
}

// Note is a fact that an operator has to know.
type Note struct {
	Fact   string `json:"fact"`
	Remedy string `json:"remedy,omitempty"`
	Urgent bool   `json:"urgent"` // somebody has to look at it
}
