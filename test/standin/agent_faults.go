package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// AgentRefuses answers with an error of EKS Auth, as the agent passes it on.
func AgentRefuses(status int, code, message string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, fmt.Sprintf("[%s]: (%s): %s, fault: client", uid(code), code, message), status)
	})
}

// AgentEchoesToken answers with an error whose message contains the token that was sent,
// where the code and the request's id should be, too.
func AgentEchoesToken() Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		http.Error(w, fmt.Sprintf("[%s]: (%s): %s, fault: client", token, token, token), http.StatusBadRequest)
	})
}

// AgentEdits changes the fields of a real answer of the agent. An answer that is not JSON
// is passed on.
func AgentEdits(change func(fields map[string]any)) Fault {
	return edit(func(body []byte) []byte {
		var fields map[string]any
		if json.Unmarshal(body, &fields) != nil {
			return body
		}
		change(fields)
		changed, _ := json.Marshal(fields) // what was unmarshalled can be marshalled
		return changed
	})
}

// AgentWithout leaves fields out of a real answer of the agent.
func AgentWithout(names ...string) Fault {
	return AgentEdits(func(fields map[string]any) {
		for _, name := range names {
			delete(fields, name)
		}
	})
}

// AgentSets sets a field of a real answer of the agent.
func AgentSets(name string, value any) Fault {
	return AgentEdits(func(fields map[string]any) { fields[name] = value })
}
