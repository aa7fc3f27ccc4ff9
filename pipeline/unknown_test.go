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

func TestNotRead(t *testing.T) {
	reading := []string{"shop.orders", "shop.users"}
	if err := notRead([]string{"shop.users"}, reading); err != nil {
		t.Error(err)
	}
	if err := notRead(nil, nil); err != nil {
		t.Error("nothing is left to be given up:", err)
	}
	f := resilience.Found(notRead([]string{"shop.users", "orders", "shop.log"}, reading))
	want := "give tables up: nobody reads orders (did you mean shop.orders?), shop.log"
	if f.Text != want || f.Code != "bad_request" || f.Fix != "being read, or waiting for that: shop.orders, shop.users" {
		t.Errorf("%+v", f)
	}
	f = resilience.Found(notRead([]string{"shop.log"}, nil))
	if f.Text != "give tables up: nobody reads shop.log" || f.Fix != "no table is being read" {
		t.Errorf("%+v", f)
	}
}
