package ecosystem

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Customer is a model of GORM's.
type Customer struct {
	ID     uint
	Email  string `gorm:"uniqueIndex"`
	Orders []Order
}

// Order belongs to a Customer.
type Order struct {
	ID         uint
	CustomerID uint
	Article    string
}

func TestGORM(t *testing.T) {
	s := plain(t)
	db := openDB(t, s.pool)
	orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{TranslateError: true, Logger: logger.Discard})
	require.NoError(t, err)
	require.NoError(t, orm.WithContext(within(t)).AutoMigrate(&Customer{}, &Order{}))

	ada := Customer{Email: "ada@example.com", Orders: []Order{{Article: "cards"}, {Article: "gears"}}}
	require.NoError(t, orm.WithContext(within(t)).Create(&ada).Error)
	err = orm.WithContext(within(t)).Create(&Customer{Email: ada.Email}).Error
	require.ErrorIs(t, err, gorm.ErrDuplicatedKey, "it knows the server's errors")

	oops := errors.New("oops")
	err = orm.WithContext(within(t)).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where("article = ?", "gears").Delete(&Order{}).Error; err != nil {
			return err
		}
		return oops
	})
	require.ErrorIs(t, err, oops)

	prepared := orm.Session(&gorm.Session{PrepareStmt: true})
	for _, orm := range []*gorm.DB{orm, prepared} {
		ask := func(ctx context.Context) error {
			var found Customer
			err := orm.WithContext(ctx).Preload("Orders").First(&found, "email = ?", ada.Email).Error
			if err == nil {
				require.Equal(t, ada, found)
			}
			return err
		}
		require.NoError(t, ask(within(t)))
		s.outage(t, ask)
	}
	s.outage(t, func(ctx context.Context) error {
		return orm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			return tx.Model(&ada).Association("Orders").Append(&Order{Article: "levers"})
		})
	})
	require.Equal(t, int64(3), orm.WithContext(within(t)).Model(&ada).Association("Orders").Count())
	require.Zero(t, s.pool.Stat().Leased)
}
