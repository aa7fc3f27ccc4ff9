package pipeline

import (
	"testing"

	"github.com/cdcd-io/cdcd/resilience"
	"github.com/cdcd-io/cdcd/source"
)

func TestUnknownTables(t *testing.T) {
	captured := []source.TableInfo{{Database: "shop", Name: "orders"}, {Database: "shop", Name: "users"}}
	f := resilience.Found(unknownTables([]string{"shop.ordres", "users", "else.where"}, captured))
	want := "ask for a snapshot: not captured, or not there: shop.ordres (did you mean shop.orders?), users (did you mean shop.users?), else.where"
	if f.Text != want || f.Code != "bad_request" || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}
