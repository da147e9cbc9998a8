package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTagsOfEveryKey(t *testing.T) {
	defaults := Default()
	names := make(map[string]bool)
	for _, k := range keys {
		require.False(t, names[k.name], k.name)
		names[k.name] = true
		require.Regexp(t, `^[a-z]+\.[a-z_]+$`, k.name)
		require.NotEmpty(t, k.allowed(), k.name)
		require.Empty(t, k.check(k.in(&defaults)), "%s: its default is allowed", k.name)
		if n, ok := number(k.in(&defaults)); ok {
			low, hasLow := k.bound("min")
			require.True(t, hasLow, "%s: a number without a least one", k.name)
			if high, hasHigh := k.bound("max"); hasHigh {
				require.True(t, low <= n && n <= high, k.name)
			}
		}
		if upper, ok := k.field.Tag.Lookup("atmost"); ok {
			require.Equal(t, k.field.Type, mustFind(join(k.section, upper)).field.Type)
		}
		if name, _ := k.setting(); name != "" {
			own, ok := keyOfSetting(name)
			require.True(t, ok)
			require.Equal(t, k.name, own.name)
		}
	}
	require.Empty(t, defaults.relate())
}

func TestBrokenTagsAreFoundAtOnce(t *testing.T) {
	for _, name := range []string{"database.port", "health.timeout"} {
		k := mustFind(name)
		k.field.Tag = `min:"x"`
		require.PanicsWithValue(t, true, func() {
			defer func() { panic(strings.Contains(recover().(string), "tag min of "+name)) }()
			k.bound("min")
		})
	}
}
